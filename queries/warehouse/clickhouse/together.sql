-- Moments and health of the cohorts of one experiment or of many that are alike, from one reading of the events: one row
-- per experiment, stretch of time and variant, and per shard. Within what ClickHouse 18.16 understands. It analyses a
-- subquery again for each level and each join above it, so expressions are short, levels few, and what can be reckoned
-- from an answer is left to the program. Whatever goes through the join is a number.
SELECT trial, day, part, variant, units, multiple
{%- for event in events %}, seen_{{ loop.index }}{% endfor %}
{%- for reading in readings %}, missing_{{ loop.index0 }}, wrong_{{ loop.index0 }}{% endfor %}
{%- for sum in sums %}, mean_{{ loop.index0 }}, left_{{ loop.index0 }}, squares_{{ loop.index0 }}{% endfor %}
{%- for product in products %}, product_{{ loop.index0 }}{% endfor %}

{% if cluster %}
-- The join's right side is asked of each shard as a whole, so that nothing but moments travels.
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
    trial, day, part, variant, units, multiple
{% for event in events %}
    , seen_{{ loop.index }}
{% endfor %}
{% for reading in readings %}
    , missing_{{ loop.index0 }}, wrong_{{ loop.index0 }}
{% endfor %}
{% for sum in sums %}
{% set n = loop.index0 %}
    , mean_{{ n }}
    , arraySum(x -> x - mean_{{ n }}, sums_{{ n }}) AS left_{{ n }}
    , arraySum(x -> (x - mean_{{ n }}) * (x - mean_{{ n }}), sums_{{ n }}) AS squares_{{ n }}
{% endfor %}
{% for product in products %}
    , arraySum((x, z) -> (x - mean_{{ product.y }}) * (z - mean_{{ product.d }}), sums_{{ product.y }}, sums_{{ product.d }}) AS product_{{ loop.index0 }}
{% endfor %}
FROM
(
    -- Arm: when a unit met a variant, which one, and a bit that is 0 where the unit counts and 1 where it is counted as one
    -- that met several. Tag: a number of the exposure's own, and the experiment.
    SELECT
        bitAnd(tag, 65535) AS trial,
        intDiv(intDiv(arm, 8192) + {{ base }}, 86400000000) AS day,
        {% for cut in cuts %}{% if not loop.first %} + {% endif %}(intDiv(arm, 8192) + {{ base }} >= transform(intDiv(intDiv(arm, 8192) + {{ base }}, 86400000000), [{{ cut.days }}], [{{ cut.instants }}], {{ never }})){% else %}toUInt8(0){% endfor %} AS part,
        intDiv(arm, 2) % 4096 AS variant,
        countIf(arm % 2 = 0) AS units,
        countIf(arm % 2 = 1) AS multiple
{% for event in events %}
        , sumIf(saw_{{ loop.index }}, arm % 2 = 0) AS seen_{{ loop.index }}
{% endfor %}
{% for reading in readings %}
        , sumIf(lacked_{{ loop.index0 }}, arm % 2 = 0) AS missing_{{ loop.index0 }}
        , sumIf(mistook_{{ loop.index0 }}, arm % 2 = 0) AS wrong_{{ loop.index0 }}
{% endfor %}
{% for sum in sums %}
        , groupArrayIf(toFloat64({{ sum.unit }}), arm % 2 = 0) AS sums_{{ loop.index0 }}
        , arraySum(sums_{{ loop.index0 }}) / units AS mean_{{ loop.index0 }}
{% endfor %}
    FROM
    (
        SELECT
            tag,
            arm
{% for event in events %}
            , countIf(what = {{ loop.index }}) AS saw_{{ loop.index }}
{% endfor %}
{% for reading in readings %}
            , countIf(what = {{ reading.event }} AND isInfinite(number_{{ reading.field }})) AS lacked_{{ loop.index0 }}
            , countIf(what = {{ reading.event }} AND isNaN(number_{{ reading.field }})) AS mistook_{{ loop.index0 }}
{% endfor %}
{% for sum in sums if sum.adds %}
            , {{ sum.adds }} AS {{ sum.unit }}
{% endfor %}
        FROM
        (
            SELECT
                tag,
                arm
{% for field in fields %}
                , number_{{ loop.index0 }}
{% endfor %}
                , if(happened_at >= intDiv(arm, 8192) + {{ base }} AND happened_at < intDiv(arm, 8192) + {{ base_and_window }}, event, 0) AS what
            FROM
            (
                -- A number that is not there is -inf here, and one that is none is nan.
                SELECT
                    e.unit_id AS unit_key,
                    {{ happened_at }} AS happened_at,
                    multiIf({% for event in events %}e.event_type = {{ event }}, {{ loop.index }}, {% endfor %}0) AS event
{% for field in fields %}
                    , {{ field }} AS number_{{ loop.index0 }}
{% endfor %}
                FROM {{ events_table }} AS e
                WHERE {{ reach_events }} AND e.event_type IN ({{ events | join(", ") }}) AND e.unit_type = {{ unit_type }}
            )
            ALL RIGHT JOIN
            (
                SELECT
                    unit_key,
                    rowNumberInAllBlocks() * 65536 + trial AS tag,
                    arrayJoin(if(second = 0, [first * 2], if(second < closes_at, [first * 2 + 1], [first * 2, second * 2 + 1]))) AS arm
                FROM
                (
                    SELECT
                        unit_key,
                        trial,
                        arraySort(groupArray(arm_met)) AS met,
                        met[1] AS first,
                        arrayFirst(other -> other % 4096 != met[1] % 4096, met) AS second,
                        ((intDiv(intDiv(met[1], 4096) + {{ base }}, 86400000000) + 1) * 86400000000 + {{ window }} - {{ base }}) * 4096 AS closes_at
                    FROM
                    (
                        SELECT
                            {{ source.unit }} AS unit_key,
                            {{ trial }} AS trial,
                            {{ source.instant }} AS met_at,
                            transform({{ source.variant }}, [{{ variants }}], [{{ variant_numbers }}], 0) AS known,
                            (met_at - {{ base }}) * 4096 + if(known = 0, 2048 + cityHash64({{ source.variant }}) % 2048, known) AS arm_met
                        FROM {{ source.table }}
                        WHERE {{ source.condition }}
                          AND {{ source.reach_all }}
{% if sinces %}
                          AND {{ source.instant }} >= arrayElement([0, {{ sinces }}], trial + 1)
{% endif %}
{% if narrow %}
                          AND {{ source.unit }} IN (
                            SELECT {{ source.unit }} FROM {{ source.table }} WHERE {{ source.condition }} AND {{ source.reach }}
                          )
{% endif %}
                    )
                    GROUP BY unit_key, trial
                )
                WHERE arm >= {{ arm_from }} AND arm < {{ arm_to }}
            )
            USING unit_key
        )
        GROUP BY tag, arm
    )
    GROUP BY trial, day, part, variant
)
)
{% if cluster %}
USING dummy
{% endif %}
{% if block %}
-- A block of events is joined as a whole, and a unit may be in every experiment.
SETTINGS max_block_size = {{ block }}
{% endif %}
