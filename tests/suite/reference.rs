//! Walks `tests/reference` and holds every method to values computed by independent implementations.
//!
//! Each file is one case: id, source, method, inputs, expected, rel_tol. A case of a family that nothing here computes fails,
//! and so does an expected value that a family does not offer: a reference that is not compared is no reference.

mod compare;
mod comparisons;
mod looks;
mod splits;
mod vector;

use std::fs;
use std::path::{Path, PathBuf};

use vector::{Got, Vector};

type Family = (&'static str, fn(&Vector) -> Vec<(String, Got)>);

/// The start of an id and what computes it. The first that fits is taken, so longer names stand first.
const FAMILIES: &[Family] = &[
    ("asymptotic_cs_multiplier_", looks::multiplier),
    ("asymptotic_cs_rho_", looks::optimal_information),
    ("asymptotic_cs_two_sided_", looks::confidence_sequence),
    ("msprt_confseq_", looks::mixture_of_a_sum),
    ("msprt_", looks::mixture),
    ("normal_mixture_bound_", looks::mixture_bound),
    ("group_seq_", looks::group_sequential),
    ("power_ni_prop_", looks::units_for_a_rate),
    ("power_tt_", looks::total_units),
    ("power_", looks::units),
    ("bh_", splits::p_values),
    ("holm_", splits::p_values),
    ("multiplicity_", splits::named_p_values),
    ("ebh_", splits::e_values),
    ("sequential_srm_epochs_", splits::dirichlet_epochs),
    ("sequential_srm_", splits::dirichlet),
    ("srm_chi2_epochs_", splits::chi_square_epochs),
    ("srm_chi2_", splits::chi_square),
    ("srm_tt_", splits::two_counts),
    ("numerics_merge_", splits::merge),
    ("quantile_ci_clustered_", splits::clustered_quantile),
    ("quantile_ci_iid_", splits::independent_quantile),
    ("cuped_ratio_", comparisons::cuped_ratio),
    ("cuped_", comparisons::cuped),
    ("epoch_stratified_", comparisons::stratified),
    ("non_inferiority_prop_", comparisons::non_inferiority_of_rates),
    ("non_inferiority_", comparisons::non_inferiority_of_means),
    ("proportion_", comparisons::proportion),
    ("ratio_delta_", comparisons::ratio),
    ("relative_lift_delta_", comparisons::lift_by_delta),
    ("relative_lift_fieller_", comparisons::lift_by_fieller),
    ("welch_t_", comparisons::welch),
];

#[test]
fn every_reference_value_is_met() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()))
        .map(|entry| entry.expect("an entry of the folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no cases", folder.display());
    let faults: Vec<String> = files.iter().flat_map(|file| faults_of(file)).collect();
    assert!(faults.is_empty(), "{} faults in {} cases:\n{}", faults.len(), files.len(), faults.join("\n"));
}

fn faults_of(file: &Path) -> Vec<String> {
    let vector = Vector::load(file);
    match FAMILIES.iter().find(|(start, _)| vector.id.starts_with(start)) {
        Some((_, compute)) => compare::faults(&vector, &compute(&vector)),
        None => vec![format!("{}: no method computes this family", vector.id)],
    }
}
