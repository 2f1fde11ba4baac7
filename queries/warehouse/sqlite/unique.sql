-- Whether no unit can come twice in an experiment's assignments.
SELECT EXISTS (
    SELECT 1
    FROM pragma_index_list(?1) AS i
    WHERE i."unique" = 1 AND i.partial = 0
      AND (SELECT group_concat(name, ',') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY name))
          IN ('experiment_id,unit_id', 'unit_id')
)
