UPDATE rampkeeper.runs SET finished_at = $2::timestamptz, summary = $3::json WHERE id = $1::uuid
