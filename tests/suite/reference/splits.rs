//! Families about counts and shares, several tests at once, merging, and quantiles.

use std::collections::BTreeMap;

use rampkeeper::stats::closure::{closure_adjusted, e_bh, reaches};
use rampkeeper::stats::dirichlet::{log_bayes_factor, sequential_p};
use rampkeeper::stats::multiplicity::{Procedure, adjust};
use rampkeeper::stats::srm::{Split, chi_square as chi2};
use rampkeeper::stats::{Arm, Moments, average_e, quantile, ratio};
use serde_json::Value;

use super::vector::{Got, Vector, count, got, number_of, numbers};

type Answer = Vec<(String, Got)>;

fn counts(value: &Value) -> Vec<u64> {
    numbers(value).into_iter().map(|count| count as u64).collect()
}

pub fn chi_square(v: &Vector) -> Answer {
    let observed = counts(&v.inputs["observed"]);
    let planned = v.numbers("expected_share").or_else(|| v.numbers("share")).expect("shares");
    split_test(&[Split { observed, planned }])
}

pub fn chi_square_epochs(v: &Vector) -> Answer {
    let epochs = v.inputs["epochs"].as_array().expect("epochs");
    let split = |e: &Value| Split { observed: counts(&e["observed"]), planned: numbers(&e["share"]) };
    split_test(&epochs.iter().map(split).collect::<Vec<_>>())
}

pub fn two_counts(v: &Vector) -> Answer {
    let arms = &v.inputs["counts"];
    let observed = vec![count(arms, "control"), count(arms, "treatment")];
    split_test(&[Split { observed, planned: vec![1.0, v.number("expected_ratio_treatment_to_control")] }])
}

fn split_test(strata: &[Split]) -> Answer {
    let test = chi2(strata).expect("units in two arms");
    vec![
        got("chi2", test.statistic),
        got("df", test.df as f64),
        got("pvalue", test.p),
        got("log10_pvalue", test.log10_p),
        got("flag_at_0_001", test.p < 0.001),
    ]
}

pub fn dirichlet(v: &Vector) -> Answer {
    sequential(&[(&v.inputs["batches"], &v.inputs["theta0"])], v.number("dirichlet_concentration"))
}

pub fn dirichlet_epochs(v: &Vector) -> Answer {
    let epochs = v.inputs["epochs"].as_array().expect("epochs");
    let epochs: Vec<_> = epochs.iter().map(|e| (&e["batches"], &e["theta0"])).collect();
    sequential(&epochs, v.number("dirichlet_concentration"))
}

/// The evidence after every batch, counts cumulated within an epoch.
fn sequential(epochs: &[(&Value, &Value)], concentration: f64) -> Answer {
    let (mut splits, mut log_factors, mut p_values) = (Vec::new(), Vec::new(), Vec::new());
    for (batches, shares) in epochs {
        let planned = numbers(shares);
        splits.push(Split { observed: vec![0; planned.len()], planned });
        for batch in batches.as_array().expect("batches") {
            let current: &mut Split = splits.last_mut().expect("just pushed");
            current.observed.iter_mut().zip(counts(batch)).for_each(|(sum, count)| *sum += count);
            log_factors.push(log_bayes_factor(&splits, concentration).expect("valid shares"));
            p_values.push(sequential_p(&log_factors));
        }
    }
    vec![
        got("reject_at_0_001", p_values.iter().map(|p| *p <= 0.001).collect::<Vec<_>>()),
        got("sequential_pvalue", p_values),
        got("log_bayes_factor_after_each_batch", log_factors.clone()),
        got("log_bayes_factor", log_factors),
    ]
}

pub fn merge(v: &Vector) -> Answer {
    let parts = v.inputs["partitions"].as_array().expect("partitions");
    let of = |p: &Value| Moments::of_units(count(p, "n"), number_of(p, "mean"), number_of(p, "m2"));
    let all = parts.iter().fold(Moments::EMPTY, |all, part| all.merge(&of(part)));
    vec![got("n", all.n as f64), got("mean", all.mean_y), got("var", all.variance_y()), got("m2", all.m2_y)]
}

fn procedure(v: &Vector) -> Procedure {
    let method = v.method.to_lowercase();
    let named = [
        ("holm-sidak", Procedure::HolmSidak),
        ("holm", Procedure::Holm),
        ("yekutieli", Procedure::BenjaminiYekutieli),
        ("fdr_by", Procedure::BenjaminiYekutieli),
        ("benjamini", Procedure::BenjaminiHochberg),
        ("fdr_bh", Procedure::BenjaminiHochberg),
        ("hochberg", Procedure::Hochberg),
        ("sidak", Procedure::Sidak),
        ("bonferroni", Procedure::Bonferroni),
    ];
    let found = named.iter().find(|(name, _)| method.contains(name));
    found.unwrap_or_else(|| panic!("{}: {:?} names no procedure", v.id, v.method)).1
}

pub fn p_values(v: &Vector) -> Answer {
    let result = adjust(procedure(v), &v.numbers("pvalues").expect("p-values"), v.number("alpha"));
    vec![got("adjusted", result.adjusted), got("reject", result.reject)]
}

pub fn named_p_values(v: &Vector) -> Answer {
    let named: BTreeMap<&String, f64> = v.inputs["pvalues"]
        .as_object()
        .expect("named p-values")
        .iter()
        .map(|(name, p)| (name, p.as_f64().expect("a p-value")))
        .collect();
    let values: Vec<f64> = named.values().copied().collect();
    let result = adjust(procedure(v), &values, v.number("alpha"));
    named.keys().zip(result.adjusted).map(|(name, p)| got(name, p)).collect()
}

pub fn e_values(v: &Vector) -> Answer {
    let alpha = v.number("alpha");
    let log_es: Vec<f64> = v.numbers("evalues").expect("e-values").iter().map(|e| e.ln()).collect();
    let rejected = e_bh(&log_es, alpha);
    let average = average_e(&log_es);
    let adjusted = closure_adjusted(&log_es);
    vec![
        got("k_hat", rejected.iter().filter(|r| **r).count() as f64),
        got("reject", rejected),
        got("mean_e", average.exp()),
        got("global_reject", reaches(average, alpha)),
        got("reject_fwer", adjusted.iter().map(|e| reaches(*e, alpha)).collect::<Vec<_>>()),
        got("adjusted_e_closure", adjusted.iter().map(|e| e.exp()).collect::<Vec<_>>()),
    ]
}

pub fn independent_quantile(v: &Vector) -> Answer {
    let mut values = v.numbers("values").expect("values");
    values.sort_by(f64::total_cmp);
    let (q, confidence) = (v.number("q"), v.number("confidence_level"));
    let at = |p| quantile::of_sorted(&values, p);
    let exact = quantile::exact_interval(&values, q, confidence).expect("an interval");
    let sigma = quantile::sigma_of_independent(q, values.len() as u64);
    let outer = quantile::outer(at, q, sigma, quantile::multiplier(confidence)).expect("an interval");
    vec![
        got("estimate", at(q).expect("a quantile")),
        got("exact_lower", exact.low),
        got("exact_upper", exact.high),
        got("outer_lower", outer.interval.low),
        got("outer_upper", outer.interval.high),
        got("se_from_outer", outer.standard_error),
    ]
}

/// Events as [unit, value]: the quantile's interval with the spread of units, not of events.
pub fn clustered_quantile(v: &Vector) -> Answer {
    let events: Vec<(i64, f64)> = v.inputs["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|event| (event[0].as_i64().expect("a unit"), event[1].as_f64().expect("a value")))
        .collect();
    let mut values: Vec<f64> = events.iter().map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    let (q, z) = (v.number("q"), quantile::multiplier(v.number("confidence_level")));
    let at = |p| quantile::of_sorted(&values, p);
    let estimate = at(q).expect("a quantile");
    let mut units: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for (unit, value) in &events {
        let sums = units.entry(*unit).or_default();
        sums.0 += f64::from(u8::from(*value <= estimate));
        sums.1 += 1.0;
    }
    let moments = units.values().fold(Moments::EMPTY, |all, &(below, total)| {
        all.merge(&Moments { n: 1, mean_y: below, mean_d: total, ..Moments::EMPTY })
    });
    let sigma = ratio::single(&moments, Arm::Candidate).expect("units vary").standard_error();
    let n = values.len() as u64;
    let outer = quantile::outer(at, q, sigma, z).expect("an interval");
    let by_density = quantile::standard_error_by_density(at, q, sigma, n, z).expect("a density");
    vec![
        got("estimate", estimate),
        got("sigma_F", sigma),
        got("outer_clustered_lower", outer.interval.low),
        got("outer_clustered_upper", outer.interval.high),
        got("se_outer_clustered", outer.standard_error),
        got("sigma_F_over_density", by_density),
        // That tool takes the density's variance with n − 1 of n.
        got("se_gbstats", by_density * ((n as f64 - 1.0) / n as f64).sqrt()),
    ]
}
