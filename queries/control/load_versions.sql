-- The model versions behind the policy versions.
SELECT CAST(id AS TEXT) AS id, mlflow_model_name, mlflow_model_version
FROM exp.policy_versions
