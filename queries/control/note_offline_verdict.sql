UPDATE exp.offline_replay_results SET is_better_than_baseline = ($2 = 1) WHERE id = $1::uuid
