-- The model versions behind the policy versions. A row without a model names nothing.
SELECT CAST(id AS TEXT) AS id, mlflow_model_name, mlflow_model_version
FROM exp.policy_versions
WHERE mlflow_model_name IS NOT NULL AND mlflow_model_version IS NOT NULL
