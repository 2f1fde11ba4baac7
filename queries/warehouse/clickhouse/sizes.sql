-- How many exposures of each experiment a statement for many would hold in memory.
SELECT {{ trial }} AS trial, toInt64({{ count }})
FROM {{ source.table }}
WHERE {{ source.condition }} AND {{ source.reach }}
GROUP BY trial
