#!/usr/bin/env python3
"""The cohorts of a benchmark lake as somebody would write it by hand, in DuckDB or in polars.

    python lake.py duckdb|duckdb-by-day|polars|polars-by-day ROOT [--night] [--out FILE] [--threads N]

All give, per experiment, date of exposure, epoch and variant, the number of units and the mean, centred squares and
centred products of eight per-unit sums. The epoch is read from the assignments, which have it as a column. A unit is in
one experiment and has one assignment here, and an event comes once; the job itself takes neither for granted.
"""
import argparse, json, os, resource, sys, time

begun = time.perf_counter()
parser = argparse.ArgumentParser()
parser.add_argument("engine", choices=["duckdb", "duckdb-by-day", "polars", "polars-by-day"])
parser.add_argument("root")
parser.add_argument("--night", action="store_true", help="the last closed cohort only")
parser.add_argument("--out")
parser.add_argument("--threads", type=int, default=2)
given = parser.parse_args()

world = json.load(open(f"{given.root}/world.json"))
days = sorted(name for name in os.listdir(f"{given.root}/events") if name.startswith("date="))
cohorts = days[:-1][-1:] if given.night else days[:-1]
window_us = 86_400_000_000

# Per-unit sums: name, event type, what is added. `plans` is the denominator.
COUNTS = [("acceptance", "plan_accepted"), ("edits", "edit_applied"), ("interventions", "validator_intervention")]
SUMS = ["acceptance", "edits", "interventions", "cost", "latency", "over_2s", "over_threshold", "plans"]


def files(table, of):
    return [f"{given.root}/{table}/{day}/part-0.parquet" for day in of]


def event_days(of):
    """A cohort's events lie on its day and on the next."""
    wanted = set()
    for day in of:
        wanted.update((day, days[days.index(day) + 1]))
    return sorted(wanted)


def by_duckdb(one_by_one):
    import duckdb

    db = duckdb.connect()
    db.execute(f"SET threads = {given.threads}; SET preserve_insertion_order = false; SET TimeZone = 'UTC'")
    db.execute("SET enable_progress_bar = false")
    db.execute("CREATE TEMP TABLE experiments (place UTINYINT, experiment_id VARCHAR, threshold DOUBLE)")
    db.executemany(
        "INSERT INTO experiments VALUES (?, ?, ?)",
        [(place, trial["id"], trial["threshold"]) for place, trial in enumerate(world["trials"])],
    )
    sums = ", ".join(f"sum(coalesce({s}, 0)::DOUBLE) AS s_{s}, sum(coalesce({s}, 0)::DOUBLE ** 2) AS q_{s}, "
                     f"sum(coalesce({s}, 0)::DOUBLE * coalesce(plans, 0)) AS x_{s}" for s in SUMS)

    def query(of):
        # Integers in place of the long ids make both the join and the grouping cheap.
        db.execute(f"""
            CREATE OR REPLACE TEMP TABLE units AS
            SELECT row_number() OVER ()::INTEGER AS unit, place, unit_id, variant_id, epoch, threshold,
                   assigned_at::DATE AS cohort_date, epoch_us(assigned_at) AS assigned_us
            FROM read_parquet({files('assignments', of)}, hive_partitioning = false)
            JOIN experiments USING (experiment_id)""")
        counts = ", ".join(f"count(*) FILTER (event_type = '{event}') AS {name}" for name, event in COUNTS)
        return f"""
            WITH per_unit AS (
                SELECT unit, {counts},
                    sum(cost) FILTER (event_type = 'plan_generated') AS cost,
                    sum(latency_ms) FILTER (event_type = 'plan_generated') AS latency,
                    count(*) FILTER (event_type = 'plan_generated' AND latency_ms > 2000) AS over_2s,
                    count(*) FILTER (event_type = 'plan_generated' AND latency_ms > threshold) AS over_threshold,
                    count(*) FILTER (event_type = 'plan_generated') AS plans
                FROM read_parquet({files('events', event_days(of))}, hive_partitioning = false) AS event
                JOIN units ON units.unit_id = event.unit_id
                WHERE epoch_us(event.timestamp) >= assigned_us AND epoch_us(event.timestamp) < assigned_us + {window_us}
                GROUP BY unit)
            SELECT place, cohort_date, epoch, variant_id, count(*) AS n, {sums}
            FROM units LEFT JOIN per_unit USING (unit) GROUP BY ALL"""

    if not one_by_one:
        return db.execute(query(cohorts)).fetchall()
    rows = []
    for day in cohorts:
        rows += db.execute(query([day])).fetchall()
    return rows


def by_polars(one_by_one):
    os.environ["POLARS_MAX_THREADS"] = str(given.threads)
    import polars as pl

    trials = pl.DataFrame({
        "experiment_id": [trial["id"] for trial in world["trials"]],
        "place": pl.Series(range(len(world["trials"])), dtype=pl.UInt8),
        "threshold": [trial["threshold"] for trial in world["trials"]],
    }).lazy()
    generated = pl.col("event_type") == "plan_generated"

    def query(of):
        units = (pl.scan_parquet(files("assignments", of), hive_partitioning=False)
                 .select("experiment_id", "unit_id", "variant_id", "epoch", "assigned_at")
                 .join(trials, on="experiment_id").with_row_index("unit")
                 .with_columns(cohort_date=pl.col("assigned_at").dt.date()))
        events = (pl.scan_parquet(files("events", event_days(of)), hive_partitioning=False)
                  .select("unit_id", "event_type", "timestamp", "latency_ms", "cost"))
        counts = {name: (pl.col("event_type") == event).sum() for name, event in COUNTS}
        per_unit = (events.join(units.select("unit_id", "unit", "assigned_at", "threshold"), on="unit_id")
                    .filter((pl.col("timestamp") >= pl.col("assigned_at"))
                            & (pl.col("timestamp") < pl.col("assigned_at") + pl.duration(days=1)))
                    .group_by("unit").agg(
                        **counts,
                        cost=pl.when(generated).then("cost").otherwise(0.0).sum(),
                        latency=pl.when(generated).then("latency_ms").otherwise(0.0).sum(),
                        over_2s=(generated & (pl.col("latency_ms") > 2000)).sum(),
                        over_threshold=(generated & (pl.col("latency_ms") > pl.col("threshold"))).sum(),
                        plans=generated.sum()))
        filled = [pl.col(s).cast(pl.Float64).fill_null(0.0) for s in SUMS]
        moments = [m for s in SUMS for m in (pl.col(s).sum().alias(f"s_{s}"), (pl.col(s) ** 2).sum().alias(f"q_{s}"),
                                             (pl.col(s) * pl.col("plans")).sum().alias(f"x_{s}"))]
        return (units.join(per_unit, on="unit", how="left").with_columns(filled)
                .group_by("place", "cohort_date", "epoch", "variant_id").agg(pl.len().alias("n"), *moments)
                .collect(engine="streaming"))

    if not one_by_one:
        return query(cohorts).rows()
    rows = []
    for day in cohorts:
        rows += query([day]).rows()
    return rows


def lines(rows):
    """The same lines that the job writes: experiment, date, epoch, variant, metric, n and the centred moments."""
    for place, cohort_date, epoch, variant, n, *values in rows:
        sums = {s: values[3 * k:3 * k + 3] for k, s in enumerate(SUMS)}
        s_d, q_d, _ = sums["plans"]
        for s in SUMS:
            total, squares, products = sums[s]
            moments = [total / n, squares - total * total / n, s_d / n, q_d - s_d * s_d / n, products - total * s_d / n]
            if s == "plans":
                moments[2:] = [1.0, 0.0, 0.0]
            numbers = ",".join(f"{m:.17e}" for m in moments)
            yield f"{world['trials'][place]['id']},{cohort_date},{epoch},{variant},{s},{n},{numbers}"


rows = (by_duckdb if given.engine.startswith("duckdb") else by_polars)(given.engine.endswith("by-day"))
seconds = time.perf_counter() - begun
if given.out:
    open(given.out, "w").writelines(line + "\n" for line in sorted(lines(rows)))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"rows {len(rows) * len(SUMS)} units {sum(row[4] for row in rows)} seconds {seconds:.3f} peak_mib {peak:.0f}")
sys.stdout.flush()
os._exit(0)
