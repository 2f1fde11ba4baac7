-- Moments and health of one experiment's cohorts: one row per cohort date, epoch and variant.
WITH
-- The units first exposed in the dates and epochs asked for.
exposures AS {{ materialized }} (
    SELECT
        row_number() OVER () AS unit,
        a.unit_id,
        a.variant_id,
        a.assigned_at,
        {{ cohort_date }} AS cohort_date,
        CASE
{% for span in spans %}
            WHEN a.assigned_at >= {{ span.from }} AND a.assigned_at < {{ span.to }} THEN {{ span.epoch }}
{% endfor %}
        END AS epoch
    FROM {{ assignments }} AS a
    WHERE a.experiment_id = {{ experiment_id }}
      AND a.assigned_at >= {{ exposed_from }}
      AND a.assigned_at < {{ exposed_to }}
      AND (
{% for span in spans %}
        {{ "   " if loop.first else "OR " }}a.assigned_at >= {{ span.from }} AND a.assigned_at < {{ span.to }}
{% endfor %}
      )
),
-- Their events inside their windows. A field is taken out of its JSON once, and only where its event needs it.
readings AS (
    SELECT
{% for field in fields %}
        CASE WHEN {% for event in field.events %}{{ " OR " if not loop.first }}e.event_type = {{ event }}{% endfor %} THEN {{ field.json }} END AS json_{{ loop.index0 }},
{% endfor %}
        x.unit,
        e.event_type
    FROM exposures AS x
    JOIN {{ events_table }} AS e
      ON e.unit_type = {{ unit_type }}
     AND e.unit_id = x.unit_id
     AND e.{{ timestamp }} >= x.assigned_at
     AND e.{{ timestamp }} < {{ window_end }}
    WHERE e.{{ timestamp }} >= {{ exposed_from }}
      AND e.{{ timestamp }} < {{ events_to }}
      AND e.event_type IN ({{ events | join(", ") }})
    {{ fence }}
),
numbers AS (
    SELECT
{% for field in fields %}
        {{ field.missing }} AS missing_{{ loop.index0 }},
        {{ field.number }} AS number_{{ loop.index0 }},
{% endfor %}
        unit,
        event_type
    FROM readings
    {{ fence }}
),
-- One row per unit that has events.
unit_sums AS (
    SELECT
{% for sum in sums %}
        {{ sum }} AS sum_{{ loop.index0 }},
{% endfor %}
        {% for reading in readings %}{{ " + " if not loop.first }}count(CASE WHEN event_type = {{ reading.event }} AND missing_{{ reading.field }} THEN 1 END){% else %}0{% endfor %} AS missing,
        {% for reading in readings %}{{ " + " if not loop.first }}count(CASE WHEN event_type = {{ reading.event }} AND NOT missing_{{ reading.field }} AND number_{{ reading.field }} IS NULL THEN 1 END){% else %}0{% endfor %} AS not_numbers,
        count(*) AS events,
        unit
    FROM numbers
    GROUP BY unit
),
-- One row per exposed unit; a unit without events is a zero, not an absence.
units AS (
    SELECT
{% for sum in sums %}
        CAST(coalesce(u.sum_{{ loop.index0 }}, 0) AS double precision) AS sum_{{ loop.index0 }},
{% endfor %}
        coalesce(u.missing, 0) AS missing,
        coalesce(u.not_numbers, 0) AS not_numbers,
        coalesce(u.events, 0) AS events,
        x.cohort_date,
        x.epoch,
        x.variant_id
    FROM exposures AS x
    LEFT JOIN unit_sums AS u ON u.unit = x.unit
)
SELECT
    cohort_date,
    epoch,
    variant_id,
    count(*) AS units,
    CAST(sum(events) AS bigint) AS events,
    CAST(sum(missing) AS bigint) AS missing,
    CAST(sum(not_numbers) AS bigint) AS not_numbers
{% for metric in metrics %}
    , avg({{ metric.y }}) AS mean_y_{{ loop.index0 }}
    , {{ metric.m2_y }} AS m2_y_{{ loop.index0 }}
{% if metric.d %}
    , avg({{ metric.d }}) AS mean_d_{{ loop.index0 }}
    , {{ metric.m2_d }} AS m2_d_{{ loop.index0 }}
    , {{ metric.c_yd }} AS c_yd_{{ loop.index0 }}
{% endif %}
{% endfor %}
FROM units
GROUP BY cohort_date, epoch, variant_id
