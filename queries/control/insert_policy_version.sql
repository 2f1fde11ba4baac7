INSERT INTO exp.policy_versions
    (id, policy_id, version, config_defaults, status, mlflow_model_name, mlflow_model_version)
VALUES ($1::uuid, $2::uuid, $3::int, $4::jsonb, $5, $6, $7)
