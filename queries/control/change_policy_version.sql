-- Only of a version that nothing has used.
UPDATE exp.policy_versions SET config_defaults = $2::jsonb, mlflow_model_name = $3, mlflow_model_version = $4
WHERE id = $1::uuid
