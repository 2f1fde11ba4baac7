-- Moments and health of one experiment's cohorts: one row per cohort date, epoch and variant.
WITH
{% if source %}
-- When each unit first met each of its variants. Rows are read back to the experiment's start, since only a unit's first one
-- counts, and on to the end of the last window, since a second variant met before a cohort closes spoils the unit.
arms AS (
    SELECT
        {{ source.unit }} AS unit_key,
        min({{ source.unit_id }}) AS unit_id,
        {{ source.variant }} AS variant_id,
        min({{ source.instant }}) AS met_at
    FROM {{ source.table }}
    WHERE {{ source.condition }}
{% if source.reach_all %}
      AND {{ source.reach_all }}
{% endif %}
      AND ({{ source.instant }} >= {{ assigning_since }} AND {{ source.instant }} < {{ events_to }}{% if may_misread %} OR {{ source.instant }} IS NULL{% endif %})
{% if source.narrow %}
      AND {{ source.unit }} IN (
        SELECT {{ source.unit }}
        FROM {{ source.table }}
        WHERE {{ source.condition }}
{% if source.reach %}
          AND {{ source.reach }}
{% endif %}
          AND ({{ source.instant }} >= {{ exposed_from }} AND {{ source.instant }} < {{ events_to }}{% if may_misread %} OR {{ source.instant }} IS NULL{% endif %})
      )
{% endif %}
    GROUP BY {{ source.unit }}, {{ source.variant }}
),
ranked AS (
    SELECT
        unit_key,
        unit_id,
        variant_id,
        met_at,
        row_number() OVER met AS place,
        lead(met_at) OVER met AS next_at,
        lead(variant_id) OVER met AS next_variant
    FROM arms
    WINDOW met AS (PARTITION BY unit_key ORDER BY met_at, variant_id)
),
met AS {{ materialized }} (
    SELECT unit_key, unit_id, variant_id, met_at, next_at, next_variant, next_at IS NOT NULL AND next_at < {{ closes_at }} AS spoiled
    FROM ranked
    WHERE place = 1
),
exposures AS {{ materialized }} (
    SELECT
        {{ number or "unit_key" }} AS unit,
        unit_key,
        unit_id,
        variant_id,
        met_at AS assigned_at,
        {{ day_met }} AS cohort_day,
        CASE
{% for span in spans %}
            WHEN met_at >= {{ span.from }} AND met_at < {{ span.to }} THEN {{ span.epoch }}
{% endfor %}
        END AS epoch
    FROM met
    WHERE NOT spoiled
      AND (
{% for span in spans %}
        {{ "   " if loop.first else "OR " }}met_at >= {{ span.from }} AND met_at < {{ span.to }}
{% endfor %}
{% if may_misread %}
        OR met_at IS NULL
{% endif %}
      )
),
-- Units that met a second variant: left out of the cohort that was still open then, or else, since the cohort had closed,
-- counted where they met it.
spoilt AS (
    SELECT
        CASE WHEN spoiled THEN variant_id ELSE next_variant END AS variant_id,
        CASE WHEN spoiled THEN met_at ELSE next_at END AS counted_at
    FROM met
    WHERE next_at IS NOT NULL
),
spoils AS (
    SELECT
        {{ day_counted }} AS cohort_day,
        CASE
{% for span in spans %}
            WHEN counted_at >= {{ span.from }} AND counted_at < {{ span.to }} THEN {{ span.epoch }}
{% endfor %}
        END AS epoch,
        variant_id
    FROM spoilt
    WHERE
{% for span in spans %}
        {{ "   " if loop.first else "OR " }}counted_at >= {{ span.from }} AND counted_at < {{ span.to }}
{% endfor %}
),
{% else %}
-- The units first exposed in the dates and epochs asked for; the spans are already cut to those dates.
exposures AS {{ materialized }} (
    SELECT
        {{ number or exact_unit }} AS unit,
{% if loosely %}
        {{ exact_unit }} AS unit_key,
{% endif %}
        a.unit_id,
        {{ variant }} AS variant_id,
        {{ assigned_at }} AS assigned_at,
        {{ day_assigned }} AS cohort_day,
        CASE
{% for span in spans %}
            WHEN {{ assigned_at }} >= {{ span.from }} AND {{ assigned_at }} < {{ span.to }} THEN {{ span.epoch }}
{% endfor %}
        END AS epoch
    FROM {{ assignments }} AS a
    WHERE {{ of_experiment }}
{% if reach_assignments %}
      AND {{ reach_assignments }}
{% endif %}
      AND (
{% for span in spans %}
        {{ "   " if loop.first else "OR " }}{{ assigned_at }} >= {{ span.from }} AND {{ assigned_at }} < {{ span.to }}
{% endfor %}
{% if may_misread %}
        OR {{ assigned_at }} IS NULL
{% endif %}
      )
),
{% endif %}
{% if counts_before %}
-- Their events inside their windows, and before exposure, which are numbered on behind them. A field is taken out of its JSON
-- once, and only where its event needs it.
{% else %}
-- Their events inside their windows. A field is taken out of its JSON once, and only where its event needs it.
{% endif %}
readings AS (
    SELECT
        x.unit,
        x.cohort_day,
        x.epoch,
        x.variant_id,
        CASE
{% for event in events %}
            WHEN {{ event.is }}{% if counts_before %} AND {{ happened_at }} >= x.assigned_at{% endif %} THEN {{ loop.index0 }}
{% endfor %}
{% if counts_before %}
{% for event in events %}
            WHEN {{ event.is }} THEN {{ inside + loop.index0 }}
{% endfor %}
{% endif %}
        END AS event
{% for field in fields %}
        , CASE WHEN {{ field.when }} THEN {{ field.json }} END AS json_{{ loop.index0 }}
{% endfor %}
    FROM exposures AS x
    JOIN {{ events_table }} AS e
      ON e.unit_type = {{ unit_type }}
     AND e.unit_id = x.unit_id
{% if loosely %}
     AND {{ exact_event_unit }} = x.unit_key
{% endif %}
     AND {{ happened_at }} >= {{ begin }}
     AND {{ happened_at }} < {{ window_end }}
{% if reach_events %}
     AND {{ reach_events }}
{% endif %}
     AND {{ happened_at }} >= {{ events_from }}
     AND {{ happened_at }} < {{ events_to }}
     AND e.event_type IN ({{ event_names | join(", ") }})
    {{ fence }}
),
numbers AS (
    SELECT
{% for field in fields %}
        {{ field.missing }} AS missing_{{ loop.index0 }},
        {{ field.number }} AS number_{{ loop.index0 }},
{% endfor %}
        event,
        unit,
        cohort_day,
        epoch,
        variant_id
    FROM readings
{% if loosely %}
    WHERE event IS NOT NULL
{% endif %}
    {{ fence }}
),
-- Each unit once more, without an event: one that has none is a zero, not an absence.
marks AS (
    SELECT {% for field in fields %}missing_{{ loop.index0 }}, number_{{ loop.index0 }}, {% endfor %}event, unit, cohort_day, epoch, variant_id
    FROM numbers
    UNION ALL
    SELECT {% for field in fields %}NULL, NULL, {% endfor %}NULL, unit, cohort_day, epoch, variant_id
    FROM exposures
),
units AS (
    SELECT
{% for sum in sums %}
        {{ sum }} AS sum_{{ loop.index0 }},
{% endfor %}
        0
{% for reading in readings %}
            + count(CASE WHEN event = {{ reading.event }} AND missing_{{ reading.field }} THEN 1 END)
{% endfor %}
            AS missing,
        0
{% for reading in readings %}
            + count(CASE WHEN event = {{ reading.event }} AND NOT missing_{{ reading.field }} AND number_{{ reading.field }} IS NULL THEN 1 END)
{% endfor %}
            AS not_numbers,
        {{ "count(CASE WHEN event < " ~ inside ~ " THEN 1 END)" if counts_before else "count(event)" }} AS events,
        cohort_day,
        epoch,
        variant_id
    FROM marks
    GROUP BY unit, cohort_day, epoch, variant_id
){% if by_window %},
centred AS (
    SELECT
        units.*
{% for sum in sums %}
        , avg(sum_{{ loop.index0 }}) OVER stratum AS mean_{{ loop.index0 }}
{% endfor %}
    FROM units
    WINDOW stratum AS (PARTITION BY cohort_day, epoch, variant_id)
){% endif %}

SELECT
    cohort_day,
    epoch,
    {{ variant_text }} AS variant_id,
    count(*) AS units,
    {{ total.events }} AS events,
    {{ total.missing }} AS missing,
    {{ total.not_numbers }} AS not_numbers,
    {{ zero }} AS multiple_exposed
{% for moment in moments %}
    , {{ moment }} AS moment_{{ loop.index0 }}
{% endfor %}
FROM {{ "centred" if by_window else "units" }}
GROUP BY cohort_day, epoch, variant_id
{% if source %}
UNION ALL
SELECT cohort_day, epoch, {{ variant_text }}, {{ zero }}, {{ zero }}, {{ zero }}, {{ zero }}, count(*)
{%- for moment in moments %}, NULL{% endfor %}

FROM spoils
GROUP BY cohort_day, epoch, variant_id
{% endif %}
