//! What a message about a night is known by: the same decisions, incidents and failures give the same mark, so a night
//! that is repeated tells nothing twice, by mail or elsewhere.

use sha2::{Digest, Sha256};

use super::night::NightReport;

/// Sixteen hexadecimal digits that follow from what is told, and from nothing else: not from the run, nor from its time.
pub(super) fn identity_of(report: &NightReport) -> String {
    let mut told = Sha256::new();
    for experiment in &report.experiments {
        told.update(format!("{} {:?} {}\n", experiment.name, experiment.standing, experiment.outside_change));
        for candidate in &experiment.candidates {
            told.update(format!("{} {:?} {}\n", candidate.name, candidate.decision_id, candidate.revision));
        }
        for line in &experiment.by_hand {
            told.update(format!("{line}\n"));
        }
    }
    for incident in report.incidents.iter().filter(|incident| incident.new) {
        told.update(format!("{}\n", incident.id));
    }
    let mut mark = format!("{:x}", told.finalize());
    mark.truncate(16);
    mark
}
