-- What all arms of an experiment have together, in ten-thousandths.
SELECT CAST(coalesce(sum(round(CAST(allocation AS numeric) * 10000)), 0) AS BIGINT) AS allocated
FROM exp.variants WHERE experiment_id = $1::uuid
