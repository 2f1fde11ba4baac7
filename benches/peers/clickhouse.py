#!/usr/bin/env python3
"""A benchmark lake in two ClickHouse servers that are the shards of one cluster, and its cohorts by SQL written by hand.

    python clickhouse.py load URL,URL ROOT             both servers' HTTP addresses; they know each other as `shards`
    python clickhouse.py hand URL ROOT [--night] [--one] [--out FILE]

By hand each shard has a view that adds up its own units, and a Distributed table over those views adds up the cohorts: so
nothing but sums travels, as in what the job asks. All experiments are in one query, or with --one the first alone.
"""
import argparse, datetime, json, os, resource, time, urllib.error, urllib.parse, urllib.request

begun = time.perf_counter()
parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["load", "hand"])
parser.add_argument("url")
parser.add_argument("root")
parser.add_argument("--night", action="store_true", help="the last closed cohort only")
parser.add_argument("--one", action="store_true", help="the first experiment alone")
parser.add_argument("--out")
given = parser.parse_args()
world = json.load(open(f"{given.root}/world.json"))
SUMS = ["acceptance", "edits", "interventions", "cost", "latency", "over_2s", "over_threshold", "plans"]
DAY = 86_400_000_000


def ask(url, sql, rows=None):
    query = "" if rows is None else "/?insert_distributed_sync=1&query=" + urllib.parse.quote(sql)
    try:
        return urllib.request.urlopen(url + query, (sql if rows is None else rows).encode()).read().decode()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{error.read().decode()}\nin {sql[:2000]}")


def load():
    import polars as pl

    urls = given.url.split(",")
    tables = {
        "assignments": "experiment_id UUID, unit_type String, unit_id String, variant_id UUID, epoch Int32, "
                       "assigned_at Int64",
        "events": "event_type String, unit_type String, unit_id String, timestamp Int64, latency_ms Float64, "
                  "cost Float64",
    }
    instants = {"assignments": "assigned_at", "events": "timestamp"}
    keys = {"assignments": "(experiment_id, assigned_at)", "events": "(event_type, timestamp)"}
    for url in urls:
        ask(url, "CREATE DATABASE IF NOT EXISTS bench")
        for table, columns in tables.items():
            ask(url, f"DROP TABLE IF EXISTS bench.{table}")
            ask(url, f"DROP TABLE IF EXISTS bench.{table}_local")
            ask(url, f"CREATE TABLE bench.{table}_local ({columns}) "
                     f"ENGINE = MergeTree PARTITION BY intDiv({instants[table]}, {DAY}) ORDER BY {keys[table]}")
            ask(url, f"CREATE TABLE bench.{table} AS bench.{table}_local "
                     f"ENGINE = Distributed(shards, bench, {table}_local, cityHash64(unit_id))")
    for table, columns in tables.items():
        names = [column.split()[0] for column in columns.split(", ")]
        for day in sorted(os.listdir(f"{given.root}/{table}")):
            frame = pl.read_parquet(f"{given.root}/{table}/{day}/part-0.parquet", hive_partitioning=False)
            rows = frame.with_columns(pl.col(instants[table]).cast(pl.Int64)).select(names)
            ask(urls[0], f"INSERT INTO bench.{table} FORMAT TabSeparated", rows.write_csv(separator="\t", include_header=False))
    views(urls)
    print(ask(urls[0], "SELECT count() FROM bench.events").strip(), "events in ClickHouse")


def micros(date):
    return int((datetime.datetime.fromisoformat(date) - datetime.datetime(1970, 1, 1)).total_seconds()) * 1_000_000


def views(urls):
    """What a shard adds up of its own units: of all days, of the last closed one, and the same of one experiment."""
    ids = ", ".join(f"'{trial['id']}'" for trial in world["trials"])
    thresholds = ", ".join(repr(trial["threshold"]) for trial in world["trials"])
    last = micros(world["last_date"])
    for name in ["all_days", "night", "all_days_one", "night_one"]:
        exposed, happened = f"assigned_at < {last}", "1"
        if name.startswith("night"):
            exposed += f" AND assigned_at >= {last - DAY}"
            happened = f"timestamp >= {last - DAY} AND timestamp < {last + DAY}"
        if name.endswith("_one"):
            exposed += f" AND experiment_id = toUUID('{world['trials'][0]['id']}')"
        generated = "event_type = 'plan_generated'"
        view = f"""
            CREATE VIEW bench.{name}_local AS
            SELECT experiment_id, toDate(intDiv(assigned_at, {DAY})) AS cohort_day, epoch, variant_id, acceptance, edits, interventions, cost, latency, over_2s,
                   over_threshold, plans
            FROM (SELECT unit_id, experiment_id, assigned_at, epoch, variant_id FROM bench.assignments_local WHERE {exposed})
            ANY LEFT JOIN (
                SELECT unit_id,
                    countIf(event_type = 'plan_accepted') AS acceptance,
                    countIf(event_type = 'edit_applied') AS edits,
                    countIf(event_type = 'validator_intervention') AS interventions,
                    sumIf(cost, {generated}) AS cost,
                    sumIf(latency_ms, {generated}) AS latency,
                    countIf({generated} AND latency_ms > 2000) AS over_2s,
                    countIf({generated} AND latency_ms > threshold) AS over_threshold,
                    countIf({generated}) AS plans
                FROM (SELECT unit_id, event_type, timestamp, latency_ms, cost FROM bench.events_local WHERE {happened})
                ANY INNER JOIN (
                    SELECT unit_id, assigned_at, transform(toString(experiment_id), [{ids}], [{thresholds}], 0.0) AS threshold
                    FROM bench.assignments_local WHERE {exposed})
                USING unit_id
                WHERE timestamp >= assigned_at AND timestamp < assigned_at + {DAY}
                GROUP BY unit_id)
            USING unit_id"""
        for url in urls:
            ask(url, f"DROP TABLE IF EXISTS bench.{name}_local")
            ask(url, f"DROP TABLE IF EXISTS bench.{name}")
            ask(url, view)
            ask(url, f"CREATE TABLE bench.{name} (experiment_id UUID, cohort_day Date, epoch Int32, variant_id UUID, "
                     "acceptance UInt64, edits UInt64, interventions UInt64, cost Float64, latency Float64, over_2s UInt64, "
                     f"over_threshold UInt64, plans UInt64) ENGINE = Distributed(shards, bench, {name}_local)")


def hand():
    name = ("night" if given.night else "all_days") + ("_one" if given.one else "")
    sums = ", ".join(f"sum(toFloat64({s})), sum(toFloat64({s}) * {s}), sum(toFloat64({s}) * plans)" for s in SUMS)
    rows = ask(given.url, f"SELECT toString(experiment_id), toString(cohort_day), epoch, toString(variant_id), count(), {sums} "
                          f"FROM bench.{name} GROUP BY experiment_id, cohort_day, epoch, variant_id FORMAT TabSeparated")
    return [line.split("\t") for line in rows.splitlines()]


def lines(rows):
    for experiment, cohort_date, epoch, variant, n, *values in rows:
        n, values = int(n), [float(value) for value in values]
        sums = {s: values[3 * k:3 * k + 3] for k, s in enumerate(SUMS)}
        s_d, q_d, _ = sums["plans"]
        for s in SUMS:
            total, squares, products = sums[s]
            moments = [total / n, squares - total * total / n, s_d / n, q_d - s_d * s_d / n, products - total * s_d / n]
            if s == "plans":
                moments[2:] = [1.0, 0.0, 0.0]
            numbers = ",".join(f"{m:.17e}" for m in moments)
            yield f"{experiment},{cohort_date},{epoch},{variant},{s},{n},{numbers}"


if given.what == "load":
    load()
else:
    rows = hand()
    seconds = time.perf_counter() - begun
    if given.out:
        open(given.out, "w").writelines(line + "\n" for line in sorted(lines(rows)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"rows {len(rows) * len(SUMS)} seconds {seconds:.3f} peak_mib {peak:.0f}")
