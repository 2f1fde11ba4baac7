#!/usr/bin/env python3
"""The cohorts of the benchmark's tables in PostgreSQL, by the best SQL that we found and by the usual one.

    python postgres.py temp|cte|per-metric DSN ROOT [--night] [--out FILE] [--limit N]

`temp`: exposures in an analysed temporary table with integer keys, numbers taken out of the JSON before the join.
`cte`: the same in one statement. `per-metric`: one query per metric and experiment, as experimentation platforms ask it.
"""
import argparse, json, resource, time
import psycopg

parser = argparse.ArgumentParser()
parser.add_argument("shape", choices=["temp", "cte", "per-metric"])
parser.add_argument("dsn")
parser.add_argument("root")
parser.add_argument("--night", action="store_true", help="the last closed cohort only")
parser.add_argument("--out")
parser.add_argument("--limit", type=int, help="so many experiments only (per-metric)")
given = parser.parse_args()

begun = time.perf_counter()
world = json.load(open(f"{given.root}/world.json"))
SUMS = ["acceptance", "edits", "interventions", "cost", "latency", "over_2s", "over_threshold", "plans"]
db = psycopg.connect(given.dsn, autocommit=True)
db.execute("SET work_mem = '256MB'; SET max_parallel_workers_per_gather = 2; SET jit = off; SET TimeZone = 'UTC'")

last = world["last_date"]
exposed = f"a.assigned_at < DATE '{last}'"
happened = "true"
if given.night:
    exposed += f" AND a.assigned_at >= DATE '{last}' - 1"
    happened = f"e.timestamp >= DATE '{last}' - 1 AND e.timestamp < DATE '{last}' + 1"

UNITS = f"""
    SELECT row_number() OVER ()::int AS unit, a.experiment_id, a.unit_id, a.variant_id, a.assigned_at, g.epoch,
           (a.assigned_at AT TIME ZONE 'UTC')::date AS cohort_date, t.threshold
    FROM exp.assignments a
    JOIN exp.epochs g ON g.experiment_id = a.experiment_id AND a.assigned_at >= g.valid_from AND a.assigned_at < g.valid_to
    JOIN exp.trials t ON t.experiment_id = a.experiment_id
    WHERE {exposed}"""
PER_UNIT = """
    count(*) FILTER (WHERE event_type = 'plan_accepted') AS acceptance,
    count(*) FILTER (WHERE event_type = 'edit_applied') AS edits,
    count(*) FILTER (WHERE event_type = 'validator_intervention') AS interventions,
    sum(cost) FILTER (WHERE event_type = 'plan_generated') AS cost,
    sum(latency_ms) FILTER (WHERE event_type = 'plan_generated') AS latency,
    count(*) FILTER (WHERE event_type = 'plan_generated' AND latency_ms > 2000) AS over_2s,
    count(*) FILTER (WHERE event_type = 'plan_generated' AND latency_ms > threshold) AS over_threshold,
    count(*) FILTER (WHERE event_type = 'plan_generated') AS plans"""
MOMENTS = "count(*), " + ", ".join(
    f"sum(coalesce({s}, 0)::float8), sum(coalesce({s}, 0)::float8 ^ 2), sum(coalesce({s}, 0)::float8 * coalesce(plans, 0))"
    for s in SUMS)


def all_at_once(units):
    return f"""
        per_unit AS (
            SELECT u.unit, {PER_UNIT}
            FROM (SELECT e.unit_id, e.event_type, e.timestamp, (e.metrics ->> 'latency_ms')::float8 AS latency_ms,
                         (e.metrics ->> 'cost')::float8 AS cost
                  FROM exp.events e WHERE {happened} OFFSET 0) e
            JOIN {units} u ON u.unit_id = e.unit_id AND e.timestamp >= u.assigned_at
                          AND e.timestamp < u.assigned_at + interval '24 hours'
            GROUP BY u.unit)
        SELECT u.experiment_id::text, u.cohort_date::text, u.epoch, u.variant_id::text, {MOMENTS}
        FROM {units} u LEFT JOIN per_unit USING (unit) GROUP BY 1, 2, 3, 4"""


def per_metric(experiment, threshold, metric):
    condition, value = {
        "acceptance": ("event_type = 'plan_accepted'", "1"), "edits": ("event_type = 'edit_applied'", "1"),
        "interventions": ("event_type = 'validator_intervention'", "1"),
        "cost": ("event_type = 'plan_generated'", "(metrics ->> 'cost')::float8"),
        "latency": ("event_type = 'plan_generated'", "(metrics ->> 'latency_ms')::float8"),
        "over_2s": ("event_type = 'plan_generated' AND (metrics ->> 'latency_ms')::float8 > 2000", "1"),
        "over_threshold": (f"event_type = 'plan_generated' AND (metrics ->> 'latency_ms')::float8 > {threshold}", "1"),
        "plans": ("event_type = 'plan_generated'", "1")}[metric]
    ours = f"""experiments @> '[{{"experiment_id": "{experiment}"}}]'"""

    def sums(name, condition, value):
        return f"""{name} AS (
            SELECT u.unit_id, sum(m.value) AS value FROM units u
            JOIN (SELECT unit_id, timestamp, {value} AS value FROM exp.events WHERE {ours} AND {condition}) m
              ON m.unit_id = u.unit_id AND m.timestamp >= u.first AND m.timestamp < u.first + interval '24 hours'
            GROUP BY u.unit_id)"""

    denominator = "" if metric == "plans" else ", " + sums("below", "event_type = 'plan_generated'", "1")
    joined = "" if metric == "plans" else "LEFT JOIN below d USING (unit_id)"
    more = "" if metric == "plans" else (", sum(coalesce(d.value, 0)), sum(coalesce(d.value, 0) ^ 2), "
                                         "sum(coalesce(n.value, 0) * coalesce(d.value, 0))")
    return f"""
        WITH units AS (SELECT unit_id, min(variant_id::text) AS variant, min(assigned_at) AS first FROM exp.assignments
                       WHERE experiment_id = '{experiment}' AND assigned_at < DATE '{last}' GROUP BY unit_id),
        {sums('above', condition, value)} {denominator}
        SELECT u.variant, count(*), sum(coalesce(n.value, 0)), sum(coalesce(n.value, 0) ^ 2) {more}
        FROM units u LEFT JOIN above n USING (unit_id) {joined} GROUP BY u.variant"""


def lines(rows):
    for experiment, cohort_date, epoch, variant, n, *values in rows:
        sums = {s: values[3 * k:3 * k + 3] for k, s in enumerate(SUMS)}
        s_d, q_d, _ = sums["plans"]
        for s in SUMS:
            total, squares, products = sums[s]
            moments = [total / n, squares - total * total / n, s_d / n, q_d - s_d * s_d / n, products - total * s_d / n]
            if s == "plans":
                moments[2:] = [1.0, 0.0, 0.0]
            numbers = ",".join(f"{m:.17e}" for m in moments)
            yield f"{experiment},{cohort_date},{epoch},{variant},{s},{n},{numbers}"


if given.shape == "per-metric":
    # Pooled over all days: it does less.
    rows = []
    for trial in world["trials"][:given.limit]:
        for metric in SUMS:
            rows += db.execute(per_metric(trial["id"], trial["threshold"], metric)).fetchall()
elif given.shape == "temp":
    db.execute(f"CREATE TEMP TABLE units AS {UNITS}")
    db.execute("ANALYZE units")
    rows = db.execute("WITH " + all_at_once("units")).fetchall()
else:
    rows = db.execute(f"WITH units AS MATERIALIZED ({UNITS}), " + all_at_once("units")).fetchall()
seconds = time.perf_counter() - begun
if given.out:
    open(given.out, "w").writelines(line + "\n" for line in sorted(lines(rows)))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"rows {len(rows)} seconds {seconds:.3f} peak_mib {peak:.0f}")
