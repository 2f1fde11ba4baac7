-- Moments and health of one experiment's cohorts: one row per cohort date, epoch and variant, and per shard. Within what
-- ClickHouse 18.16 understands: subqueries in place of common table expressions, joins by USING, no window functions.
{% if cluster %}
-- The join's right side is asked of each shard as a whole, so that nothing but moments travels.
{% endif %}
SELECT cohort_day, epoch, variant_id, units, events, missing, not_numbers, multiple_exposed
{%- for moment in moments %}, moment_{{ loop.index0 }}{% endfor %}

{% if cluster %}
FROM cluster({{ cluster }}, system.one)
ALL LEFT JOIN
{% else %}
FROM
{% endif %}
(
SELECT
{% if cluster %}
    toUInt8(0) AS dummy,
{% endif %}
    intDiv(at, 86400000000) AS cohort_day,
    epoch,
    variant_id,
    countIf(role = 0) AS units,
    sum(events) AS events,
    sum(missing) AS missing,
    sum(not_numbers) AS not_numbers,
    countIf(role = 1) AS multiple_exposed
{% for sum in sums %}
    , groupArrayIf(sum_{{ loop.index0 }}, role = 0) AS sums_{{ loop.index0 }}
    , arraySum(sums_{{ loop.index0 }}) / length(sums_{{ loop.index0 }}) AS mean_{{ loop.index0 }}
{% endfor %}
{% for moment in moments %}
    , {{ moment }} AS moment_{{ loop.index0 }}
{% endfor %}
FROM
(
    -- Role 0: a unit that counts. Role 1: one that met a second variant, where it is counted as such.
    SELECT
        unit_key,
        toUInt8(if(spoiled, 1, role_of)) AS role,
        if(role_of = 0, tupleElement(first, 1), tupleElement(second, 1)) AS at,
        if(role_of = 0, tupleElement(first, 2), tupleElement(second, 2)) AS variant_id,
        multiIf({% for span in spans %}at >= {{ span.from }} AND at < {{ span.to }}, toInt64({{ span.epoch }}), {% endfor %}toInt64(-1)) AS epoch
    FROM
    (
        SELECT
            unit_key,
            arraySort(groupArray((met_at, variant_id))) AS arms,
            arms[1] AS first,
            arms[2] AS second,
            length(arms) > 1 AND tupleElement(second, 1) < (intDiv(tupleElement(first, 1), 86400000000) + 1) * 86400000000 + {{ window }} AS spoiled,
            arrayJoin(if(length(arms) > 1 AND NOT spoiled, [0, 1], [0])) AS role_of
        FROM
        (
            SELECT {{ source.unit }} AS unit_key, {{ source.variant }} AS variant_id, min({{ source.instant }}) AS met_at
            FROM {{ source.table }}
            WHERE {{ source.condition }}
              AND {{ source.reach_all }}
{% if source.narrow %}
              AND {{ source.unit }} IN (
                SELECT {{ source.unit }} FROM {{ source.table }} WHERE {{ source.condition }} AND {{ source.reach }}
              )
{% endif %}
            GROUP BY unit_key, variant_id
        )
        GROUP BY unit_key
    )
    WHERE epoch >= 0
)
ANY LEFT JOIN
(
{% if counts_before %}
    -- Events before exposure are numbered on behind those inside the window.
    WITH if(happened_at >= assigned_at, event_type_at, event_type_at + {{ inside }}) AS event
{% endif %}
    SELECT
        unit_key,
        toUInt8(0) AS role,
{% for sum in sums %}
        {{ sum }} AS sum_{{ loop.index0 }},
{% endfor %}
        0{% for reading in readings %} + countIf(event = {{ reading.event }} AND isNull(number_{{ reading.field }})){% endfor %} AS missing,
        0{% for reading in readings %} + countIf(event = {{ reading.event }} AND isNotNull(number_{{ reading.field }}) AND NOT isFinite(assumeNotNull(number_{{ reading.field }}))){% endfor %} AS not_numbers,
        {{ "countIf(event < " ~ inside ~ ")" if counts_before else "count()" }} AS events
    FROM
    (
        SELECT
            e.unit_id AS unit_key,
            {{ happened_at }} AS happened_at,
            multiIf({% for event in events %}{{ event.is }}, {{ loop.index0 }}, {% endfor %}-1) AS {{ "event_type_at" if counts_before else "event" }}
{% for field in fields %}
            , {{ field.json }} AS number_{{ loop.index0 }}
{% endfor %}
        FROM {{ events_table }} AS e
        WHERE {{ reach_events }} AND e.event_type IN ({{ event_names | join(", ") }}) AND e.unit_type = {{ unit_type }}
    )
    ANY INNER JOIN
    (
        SELECT
            unit_key,
            arraySort(groupArray((met_at, variant_id))) AS arms,
            tupleElement(arms[1], 1) AS assigned_at
        FROM
        (
            SELECT {{ source.unit }} AS unit_key, {{ source.variant }} AS variant_id, min({{ source.instant }}) AS met_at
            FROM {{ source.table }}
            WHERE {{ source.condition }}
              AND {{ source.reach_all }}
{% if source.narrow %}
              AND {{ source.unit }} IN (
                SELECT {{ source.unit }} FROM {{ source.table }} WHERE {{ source.condition }} AND {{ source.reach }}
              )
{% endif %}
            GROUP BY unit_key, variant_id
        )
        GROUP BY unit_key
    )
    USING unit_key
    WHERE happened_at >= assigned_at{% if counts_before %} - {{ before }}{% endif %} AND happened_at < assigned_at + {{ window }}
    GROUP BY unit_key
)
USING (unit_key, role)
GROUP BY cohort_day, epoch, variant_id
)
{% if cluster %}
USING dummy
{% endif %}
