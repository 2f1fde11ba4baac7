-- Moments and health of one experiment's cohorts: one row per cohort date, epoch and variant.
WITH
-- The units first exposed in the dates and epochs asked for; the spans are already cut to those dates.
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
      AND (
{% for span in spans %}
        {{ "   " if loop.first else "OR " }}a.assigned_at >= {{ span.from }} AND a.assigned_at < {{ span.to }}
{% endfor %}
      )
),
-- Their events inside their windows; a unit without events keeps one row without an event. A field is taken out of its
-- JSON once, and only where its event needs it.
readings AS (
    SELECT
{% for field in fields %}
        CASE WHEN {% for event in field.events %}{{ " OR " if not loop.first }}e.event_type = {{ event }}{% endfor %} THEN {{ field.json }} END AS json_{{ loop.index0 }},
{% endfor %}
        e.event_type,
        x.unit,
        x.cohort_date,
        x.epoch,
        x.variant_id
    FROM exposures AS x
    LEFT JOIN {{ events_table }} AS e
      ON e.unit_type = {{ unit_type }}
     AND e.unit_id = x.unit_id
     AND e.{{ timestamp }} >= x.assigned_at
     AND e.{{ timestamp }} < {{ window_end }}
     AND e.{{ timestamp }} >= {{ exposed_from }}
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
        event_type,
        unit,
        cohort_date,
        epoch,
        variant_id
    FROM readings
    {{ fence }}
),
-- One row per unit; one without events is a zero, not an absence.
units AS (
    SELECT
{% for sum in sums %}
        CAST(coalesce({{ sum }}, 0) AS double precision) AS sum_{{ loop.index0 }},
{% endfor %}
        0
{% for reading in readings %}
            + count(CASE WHEN event_type = {{ reading.event }} AND missing_{{ reading.field }} THEN 1 END)
{% endfor %}
            AS missing,
        0
{% for reading in readings %}
            + count(CASE WHEN event_type = {{ reading.event }} AND NOT missing_{{ reading.field }} AND number_{{ reading.field }} IS NULL THEN 1 END)
{% endfor %}
            AS not_numbers,
        count(event_type) AS events,
        cohort_date,
        epoch,
        variant_id
    FROM numbers
    GROUP BY unit, cohort_date, epoch, variant_id
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
