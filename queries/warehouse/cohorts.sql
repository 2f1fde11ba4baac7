-- Moments and health of one experiment's cohorts: one row per cohort date, epoch and variant.
WITH
{% if source %}
-- When each unit first met each of its variants. Rows are read back to the experiment's start, since only a unit's first one
-- counts, and on to the end of the last window, since a second variant met before a cohort closes spoils the unit.
{{ own }}arms AS (
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
{{ own }}ranked AS (
    SELECT
        unit_key,
        unit_id,
        variant_id,
        met_at,
        row_number() OVER met AS place,
        lead(met_at) OVER met AS next_at,
        lead(variant_id) OVER met AS next_variant
    FROM {{ own }}arms
    WINDOW met AS (PARTITION BY unit_key ORDER BY met_at, variant_id)
),
{{ own }}met AS {{ materialized }} (
    SELECT unit_key, unit_id, variant_id, met_at, next_at, next_variant, next_at IS NOT NULL AND next_at < {{ closes_at }} AS spoiled
    FROM {{ own }}ranked
    WHERE place = 1
),
{{ own }}exposures AS {{ materialized }} (
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
    FROM {{ own }}met
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
{{ own }}spoilt AS (
    SELECT
        CASE WHEN spoiled THEN variant_id ELSE next_variant END AS variant_id,
        CASE WHEN spoiled THEN met_at ELSE next_at END AS counted_at
    FROM {{ own }}met
    WHERE next_at IS NOT NULL
),
{{ own }}spoils AS (
    SELECT
        {{ day_counted }} AS cohort_day,
        CASE
{% for span in spans %}
            WHEN counted_at >= {{ span.from }} AND counted_at < {{ span.to }} THEN {{ span.epoch }}
{% endfor %}
        END AS epoch,
        variant_id
    FROM {{ own }}spoilt
    WHERE
{% for span in spans %}
        {{ "   " if loop.first else "OR " }}counted_at >= {{ span.from }} AND counted_at < {{ span.to }}
{% endfor %}
),
{% else %}
-- The units first exposed in the dates and epochs asked for; the spans are already cut to those dates.
{{ own }}exposures AS {{ materialized }} (
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
{% if events %}
{% if counts_before %}
-- Their events inside their windows, and before exposure, which are numbered on behind them. A field is taken out of its JSON
-- once, and only where its event needs it.
{% else %}
-- Their events inside their windows. A field is taken out of its JSON once, and only where its event needs it.
{% endif %}
{{ own }}readings AS (
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
    FROM {{ own }}exposures AS x
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
{{ own }}numbers AS (
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
    FROM {{ own }}readings
{% if loosely %}
    WHERE event IS NOT NULL
{% endif %}
    {{ fence }}
),
{% endif %}
{% if facts_by_window %}
{% for fact in facts %}
-- The rows of a fact and the units, one below the other: so each row is told of its unit without a search.
{{ own }}rows_{{ loop.index0 }} AS (
    SELECT
        {{ fact.unit_key }} AS unit_key,
        {{ fact.instant }} AS happened_at,
        {{ fact.variant or "NULL" }} AS of_variant,
{% for value in fact.own %}
        {{ value.missing }} AS lacks_{{ loop.index0 }},
        {{ value.number }} AS value_{{ loop.index0 }},
{% endfor %}
        NULL AS unit,
        NULL AS cohort_day,
        NULL AS epoch,
        NULL AS variant_id,
        NULL AS assigned_at
    FROM (
{{ fact.sql }}
    ) AS f
    WHERE {{ fact.filter | join("\n      AND ") }}
    UNION ALL
    SELECT {{ "unit_key" if loosely else "unit_id" }}, NULL, NULL, {% for value in fact.own %}NULL, NULL, {% endfor %}unit, cohort_day, epoch, variant_id, assigned_at
    FROM {{ own }}exposures
),
{{ own }}told_{{ loop.index0 }} AS (
    SELECT
        happened_at,
        of_variant,
{% for value in fact.own %}
        lacks_{{ loop.index0 }},
        value_{{ loop.index0 }},
{% endfor %}
        max(unit) OVER mine AS unit,
        max(cohort_day) OVER mine AS cohort_day,
        max(epoch) OVER mine AS epoch,
        max(variant_id) OVER mine AS variant_id,
        max(assigned_at) OVER mine AS assigned_at
    FROM {{ own }}rows_{{ loop.index0 }}
    WINDOW mine AS (PARTITION BY unit_key)
),
{% endfor %}
{% endif %}
{% if facts %}
-- The rows of facts count as events do.
{% endif %}
-- Each unit once more, without an event: one that has none is a zero, not an absence.
{{ own }}marks AS (
{% if events %}
    SELECT {% for field in fields %}missing_{{ loop.index0 }}, number_{{ loop.index0 }}, {% endfor %}{% for gap in no_facts %}{{ gap.missing }} AS missing_{{ fields | length + loop.index0 }}, {{ gap.number }} AS number_{{ fields | length + loop.index0 }}, {% endfor %}event, unit, cohort_day, epoch, variant_id
    FROM {{ own }}numbers
    UNION ALL
{% endif %}
{% for fact in facts %}
    SELECT
{% for value in no_fields + (fact.told if facts_by_window else fact.values) %}
        {{ value.missing }} AS missing_{{ loop.index0 }},
        {{ value.number }} AS number_{{ loop.index0 }},
{% endfor %}
        {{ fact.told_event if facts_by_window else fact.event }} AS event,
{% if facts_by_window %}
        unit,
        cohort_day,
        epoch,
        variant_id
    FROM {{ own }}told_{{ loop.index0 }}
    WHERE happened_at >= {{ begin_alone }}
      AND happened_at < {{ window_end_alone }}
{% if fact.variant %}
      AND of_variant = variant_id
{% endif %}
{% else %}
        x.unit,
        x.cohort_day,
        x.epoch,
        x.variant_id
    FROM {{ own }}exposures AS x
    JOIN (
{{ fact.sql }}
    ) AS f
      ON {{ (fact.join + fact.filter) | join("\n     AND ") }}
{% endif %}
    UNION ALL
{% endfor %}
    SELECT {% for field in fields %}NULL, NULL, {% endfor %}{% for gap in no_facts %}NULL, NULL, {% endfor %}NULL, unit, cohort_day, epoch, variant_id
    FROM {{ own }}exposures
),
{{ own }}units AS (
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
    FROM {{ own }}marks
    GROUP BY unit, cohort_day, epoch, variant_id
){% if by_window %},
{{ own }}centred AS (
    SELECT
        {{ own }}units.*
{% for sum in sums %}
        , avg(sum_{{ loop.index0 }}) OVER stratum AS mean_{{ loop.index0 }}
{% endfor %}
    FROM {{ own }}units
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
FROM {{ own }}{{ "centred" if by_window else "units" }}
GROUP BY cohort_day, epoch, variant_id
{% if source %}
UNION ALL
SELECT cohort_day, epoch, {{ variant_text }}, {{ zero }}, {{ zero }}, {{ zero }}, {{ zero }}, count(*)
{%- for moment in moments %}, NULL{% endfor %}

FROM {{ own }}spoils
GROUP BY cohort_day, epoch, variant_id
{% endif %}
