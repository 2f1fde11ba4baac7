SELECT count(*) AS found FROM exp.variants WHERE id = $1::uuid AND experiment_id = $2::uuid
