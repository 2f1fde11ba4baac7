SELECT CAST(id AS TEXT) AS id, CAST(policy_id AS TEXT) AS family_id, CAST(version AS BIGINT) AS version,
       mlflow_model_name, mlflow_model_version, CAST(config_defaults AS TEXT) AS config_defaults, status
FROM exp.policy_versions
ORDER BY policy_id, version
