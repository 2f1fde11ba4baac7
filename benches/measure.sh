#!/usr/bin/env bash
# Measures everything that the README's "What it costs" tells, in one go, and prints the tables.
#
#   benches/measure.sh FOLDER            FOLDER takes about 8 GB, and is used again if it is there
#
# PYTHON has duckdb, polars and psycopg (python3 unless told); ROUNDS per sitting (7), SITTINGS (2), EVENTS of the larger
# lake (50000000; 0 leaves it out); PG_BIN holds PostgreSQL's programs. Nothing else should run on the machine.
set -euo pipefail
folder=$(mkdir -p "${1:?name a folder}" && cd "$1" && pwd)
python=${PYTHON:-python3} rounds=${ROUNDS:-7} sittings=${SITTINGS:-2} larger=${EVENTS:-50000000}
pg_bin=${PG_BIN:-/usr/lib/postgresql/15/bin}
cd "$(dirname "$0")/.."
cargo bench --quiet --bench warehouse --no-run
cargo build --quiet --release --bin rampkeeper
bench() { cargo bench --quiet --bench warehouse -- "$@"; }

make_lake() { [ -f "$2/world.json" ] || bench generate "$2" --events "$1"; }
make_lake 10000000 "$folder/10m"
make_lake 3000000 "$folder/3m"
if [ "$larger" != 0 ]; then make_lake "$larger" "$folder/larger"; fi
[ -f "$folder/stored/rampkeeper.yml" ] || bench store "$folder/stored"

# A server of its own: a socket, no port, and room for the tables in memory.
as_owner=() && [ "$(id -u)" != 0 ] || as_owner=(runuser -u postgres --)
pg="$folder/pg" fresh=
if [ ! -d "$pg/data" ]; then
    fresh=1
    mkdir -p "$pg/socket" && [ "$(id -u)" != 0 ] || chown -R postgres "$pg"
    "${as_owner[@]}" "$pg_bin/initdb" -D "$pg/data" -A trust -U postgres --locale=C.UTF-8 >"$folder/initdb.log"
    cat >>"$pg/data/postgresql.conf" <<SETTINGS
unix_socket_directories = '$pg/socket'
listen_addresses = ''
shared_buffers = 2GB
effective_cache_size = 8GB
maintenance_work_mem = 512MB
max_wal_size = 8GB
max_parallel_workers = 2
random_page_cost = 1.1
jit = off
SETTINGS
fi
"${as_owner[@]}" "$pg_bin/pg_ctl" -D "$pg/data" -l "$pg/log" -w start >/dev/null
trap '"${as_owner[@]}" "$pg_bin/pg_ctl" -D "$pg/data" -m fast stop >/dev/null' EXIT
url="postgresql://postgres@/postgres?host=$pg/socket"
ours="postgres://postgres@localhost/postgres?host=$pg/socket"
[ -z "$fresh" ] || bench load-postgres "$ours" "$folder/3m"

for sitting in $(seq "$sittings"); do
    echo "== sitting $sitting, $(date -u +%FT%RZ), load $(cut -d' ' -f1 /proc/loadavg)"
    bench compare "$folder/10m" --python "$python" --rounds "$rounds"
    if [ "$larger" != 0 ]; then bench compare "$folder/larger" --python "$python" --rounds "$rounds"; fi
    bench compare "$folder/3m" --postgres "$ours" --peer-postgres "$url" --python "$python" --rounds "$rounds" --quick
    echo "a night of 1,000 experiments from stored cohorts to decisions:"
    for _ in $(seq "$rounds"); do bench decide "$folder/stored"; done
done
echo "one query per metric and experiment, once:"
"$python" benches/peers/postgres.py per-metric "$url" "$folder/3m"
echo "start-up:"
for _ in $(seq "$rounds"); do
    /usr/bin/time -f '%e s, %M KiB' "${CARGO_TARGET_DIR:-target}/release/rampkeeper" --version
done
