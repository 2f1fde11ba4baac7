-- Orders of the shop, for metrics that say `fact: orders`. One SELECT without a semicolon, which becomes a part of the one
-- statement that a night asks. `rampkeeper check` says which column is wrong.
SELECT
    customer_id AS unit_id,     -- whose row it is: the id that the assignments have
    placed_at AS "timestamp",   -- when it happened
    total AS amount             -- a column for each value that a metric sums or compares
    -- , experiment_id, variant_id: where they are known, a row counts only for the units of that variant
FROM shop.orders
WHERE status <> 'cancelled'
