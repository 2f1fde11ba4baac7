//! Small files with answers worked out elsewhere: by SciPy, or on paper.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::stats::cuped::{WithCovariate, adjust, theta};
use crate::stats::{Interval, Moments};

/// A folder with one CSV in it, and what is asked of it.
struct File {
    _dir: TempDir,
    question: Question,
}

fn file(csv: &str, metric: &str) -> File {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("units.csv");
    fs::write(&path, csv).unwrap();
    let margins = ["0.5".parse().unwrap()];
    let question = Question {
        file: path,
        unit: None,
        variant: "variant".to_owned(),
        control: "control".to_owned(),
        metrics: with_margins(&[metric.parse().unwrap()], &margins).unwrap(),
        covariate: None,
        stratum: None,
        split: None,
        alpha: crate::domain::Alpha::try_from(0.05).unwrap(),
        min_units: 2,
    };
    File { _dir: dir, question }
}

impl File {
    fn with(mut self, change: impl FnOnce(&mut Question)) -> File {
        change(&mut self.question);
        self
    }

    fn analysis(&self) -> Analysis {
        analyze(&self.question).unwrap()
    }

    fn refusal(&self) -> String {
        let error = analyze(&self.question).unwrap_err().to_string();
        error.split_once("units.csv: ").unwrap().1.to_owned()
    }

    /// The one metric of the one candidate.
    fn metric(&self) -> MetricResult {
        let mut analysis = self.analysis();
        assert_eq!(analysis.candidates.len(), 1);
        analysis.candidates.remove(0).metrics.remove(0)
    }
}

/// Eight units an arm: y is 10, 12 … 24 in control and half as much again in the candidate; d, x and s are made up.
const UNITS: &str = "\
variant,y,d,x,s
control,10,1,1,a
control,12,2,3,a
control,14,1,2,a
control,16,2,4,a
control,18,1,3,a
control,20,2,5,b
control,22,1,4,b
control,24,2,6,b
candidate,15,2,2,a
candidate,18,1,1,a
candidate,21,2,3,b
candidate,24,1,2,b
candidate,27,2,4,b
candidate,30,2,3,b
candidate,33,1,5,b
candidate,36,1,4,b
";

fn close(got: f64, wanted: f64) {
    assert!((got - wanted).abs() <= 1e-9 * wanted.abs().max(1e-3), "{got} is not {wanted}");
}

fn interval(got: Option<Interval>, low: f64, high: f64) {
    let got = got.unwrap();
    close(got.low, low);
    close(got.high, high);
}

/// By SciPy: Welch's degrees of freedom, Student's quantile, Fieller's roots; brentq for the sequential multiplier.
#[test]
fn a_mean_is_welchs_and_fiellers_and_the_nights() {
    let mean = file(UNITS, "y").metric();
    assert_eq!((mean.control.units, mean.candidate.units), (8, 8));
    assert_eq!((mean.control.value, mean.candidate.value), (Some(17.0), Some(25.5)));
    assert_eq!(mean.lift, Some(0.5));
    close(mean.one_look.unwrap().p, 0.018302834505883103);
    interval(mean.one_look.map(|look| look.interval), 0.08921901924647235, 1.0657002496674743);
    interval(mean.anytime, -0.007060310450654805, 1.2659986539778494);
    close(mean.log_e_harm, -2.3459151840327195);
    assert_eq!((mean.verdict, mean.judged_by, mean.p_harm), ("safe", JudgedBy::Interval, 1.0));
    let cost = file(UNITS, "y:decrease").metric();
    close(cost.log_e_harm, 2.887680490779657);
    close(cost.p_harm, (-2.887680490779657f64).exp());
    assert_eq!(cost.verdict, "inconclusive");
}

#[test]
fn a_ratio_is_one_of_sums_with_its_units_as_the_sample() {
    let ratio = file(UNITS, "r=y/d").metric();
    assert_eq!((ratio.numerator.as_str(), ratio.denominator.as_deref()), ("y", Some("d")));
    close(ratio.control.value.unwrap(), 136.0 / 12.0);
    close(ratio.candidate.value.unwrap(), 204.0 / 12.0);
    close(ratio.one_look.unwrap().p, 0.14109470104571994);
    interval(ratio.one_look.map(|look| look.interval), -0.17224925037589978, 1.5104121953195904);
    interval(ratio.anytime, -0.3441682093135381, 1.9561347316623547);
    close(ratio.log_e_harm, -1.4507520776727043);
}

#[test]
fn a_covariate_takes_out_what_the_past_explains() {
    let adjusted = file(UNITS, "y").with(|question| question.covariate = Some("x".to_owned())).metric();
    close(adjusted.theta.unwrap(), 2.7419354838709675);
    close(adjusted.control.value.unwrap(), 16.314516129032256);
    close(adjusted.candidate.value.unwrap(), 26.185483870967744);
    interval(adjusted.one_look.map(|look| look.interval), 0.32142396924835537, 0.9320066746672373);
    interval(adjusted.anytime, 0.2508776847774661, 1.0294697254990686);
    assert_eq!(adjusted.verdict, "better");
    // The library's own adjustment of a mean, from the moments of the two arms.
    let arm = |mean_y, m2_y, mean_d, m2_d, c_yd| WithCovariate(Moments { n: 8, mean_y, m2_y, mean_d, m2_d, c_yd });
    let (control, candidate) = (arm(17.0, 168.0, 3.5, 18.0, 48.0), arm(25.5, 378.0, 3.0, 12.0, 54.0));
    let slope = theta(&control, &candidate).unwrap();
    close(adjusted.control.value.unwrap(), adjust(&control, slope, 3.25).mean_y);
    close(adjusted.theta.unwrap(), slope);
}

#[test]
fn a_unit_without_a_covariate_keeps_its_place() {
    let extra = format!("{UNITS}control,40,1,,a\ncontrol,44,1,,b\ncandidate,40,1,,a\ncandidate,44,1,,b\n");
    let with = |question: &mut Question| question.covariate = Some("x".to_owned());
    let file = file(&extra, "y").with(with);
    assert_eq!(file.analysis().covariate.unwrap().units_without, 4);
    let metric = file.metric();
    assert_eq!((metric.control.units, metric.candidate.units), (10, 10));
    close(metric.theta.unwrap(), 2.7419354838709675);
    // Weights 4 and 1: the adjusted strata as before, and 42 against 42.
    close(metric.control.value.unwrap(), (4.0 * 16.314516129032256 + 42.0) / 5.0);
    close(metric.candidate.value.unwrap(), (4.0 * 26.185483870967744 + 42.0) / 5.0);
}

#[test]
fn strata_are_combined_with_overlap_weights() {
    let file = file(UNITS, "y").with(|question| question.stratum = Some("s".to_owned()));
    let metric = file.metric();
    // a: 5·2/7 units' worth, 14 against 16.5; b: 3·6/9, 22 against 28.5.
    close(metric.control.value.unwrap(), 56.0 / 3.0);
    close(metric.candidate.value.unwrap(), 23.5);
    let strata = file.analysis().strata.unwrap();
    assert_eq!((strata.count, strata.units_without), (2, 0));
    assert_eq!(metric.units_in_small_strata, 0);
}

#[test]
fn a_stratum_with_one_unit_in_an_arm_is_left_out_and_counted() {
    let lone = format!("{UNITS}control,1000,1,1,c\ncandidate,1,1,1,c\ncandidate,1,1,1,c\ncontrol,17,1,1,\n");
    let file = file(&lone, "y").with(|question| question.stratum = Some("s".to_owned()));
    let metric = file.metric();
    close(metric.control.value.unwrap(), 56.0 / 3.0);
    assert_eq!(metric.units_in_small_strata, 4);
    let strata = file.analysis().strata.unwrap();
    assert_eq!((strata.count, strata.units_without), (4, 1));
    let each = self::file("variant,y,s\ncontrol,1,a\ncontrol,2,b\ncandidate,3,c\ncandidate,4,d\n", "y");
    let metric = each.with(|question| question.stratum = Some("s".to_owned())).metric();
    assert_eq!(metric.verdict, "insufficient");
    assert_eq!(metric.why.as_deref(), Some("no stratum has two units in each arm"));
}

#[test]
fn what_is_missing_is_left_out_of_its_metric_and_counted() {
    let gaps = format!("{UNITS}control,,1,1,a\ncandidate,,9,1,a\ncandidate,9,,1,a\n,77,1,1,a\n");
    let file = file(&gaps, "r=y/d");
    let metric = file.metric();
    assert_eq!((metric.control.units, metric.control.missing), (8, 1));
    assert_eq!((metric.candidate.units, metric.candidate.missing), (8, 2));
    close(metric.control.value.unwrap(), 136.0 / 12.0);
    let analysis = file.analysis();
    assert_eq!(analysis.rows, 20);
    assert_eq!(analysis.left_out, LeftOut { units_without_variant: 1, ..LeftOut::default() });
    assert_eq!(analysis.variants[0], VariantUnits { name: "candidate".to_owned(), units: 10 });
}

#[test]
fn events_of_a_unit_are_added_up() {
    // Unit 1 has 4 = 3 + 1 and an empty field; 5 has no value at all; 6 was in two arms; one row names no unit.
    let events = "\
variant,id,y
control,1,3
control,1,
control,1,1
control,2,6
candidate,3,10
candidate,4,12
,4,2
candidate,5,
control,6,1
candidate,6,1
control,,9
";
    let file = file(events, "y").with(|question| question.unit = Some("id".to_owned()));
    let metric = file.metric();
    assert_eq!((metric.control.value, metric.candidate.value), (Some(5.0), Some(12.0)));
    assert_eq!((metric.control.units, metric.control.missing), (2, 0));
    assert_eq!((metric.candidate.units, metric.candidate.missing), (2, 1));
    assert_eq!(metric.empty_fields, 1);
    let analysis = file.analysis();
    assert_eq!(analysis.rows, 11);
    assert_eq!(analysis.left_out, LeftOut { rows_without_unit: 1, units_without_variant: 0, units_in_two_variants: 1 });
}

#[test]
fn a_rate_that_falls_to_nothing_is_harm() {
    let rows = |variant: &str, ones: usize, of: usize| -> String {
        (0..of).map(|unit| format!("{variant},{}\n", u8::from(unit < ones))).collect()
    };
    let csv = format!("variant,y\n{}{}", rows("control", 10_000, 100_000), rows("candidate", 0, 100_000));
    let metric = file(&csv, "y").with(|question| question.min_units = 1000).metric();
    assert_eq!((metric.verdict, metric.judged_by), ("harm", JudgedBy::Score));
    assert!(metric.log_e_harm > 1000.0 && metric.p_harm == 0.0, "{metric:?}");
    // Too few for the normal shape, and enough for the exact test.
    let csv = format!("variant,y\n{}{}", rows("control", 18, 100), rows("candidate", 0, 100));
    let metric = file(&csv, "y").with(|question| question.min_units = 1000).metric();
    assert_eq!((metric.verdict, metric.judged_by), ("harm", JudgedBy::Exact));
    assert!(metric.p_harm < 0.001, "{metric:?}");
    // From nothing to something, where less is better: there is no lift, and harm all the same.
    let csv = format!("variant,y\n{}{}", rows("control", 0, 2_000), rows("candidate", 30, 2_000));
    let metric = file(&csv, "y:decrease").with(|question| question.min_units = 1000).metric();
    assert_eq!((metric.verdict, metric.judged_by, metric.lift), ("harm", JudgedBy::Exact, None));
    // The same the other way round is no harm, and no licence to call it anything else.
    let metric = file(&csv, "y").with(|question| question.min_units = 1000).metric();
    assert_eq!(metric.verdict, "insufficient");
    assert!(metric.why.is_some());
}

#[test]
fn a_large_mean_keeps_its_variance() {
    let rows = |variant: &str| -> String {
        (0..1000).map(|unit| format!("{variant},{}\n", 1e9 + f64::from(unit % 2 * 2 - 1))).collect()
    };
    let csv = format!("variant,y\n{}{}", rows("control"), rows("candidate"));
    let metric = file(&csv, "y").metric();
    // ±1 has a variance of 1000/999 of the sample, and the mean one of a thousandth of that, twice; Student's t at 1998.
    let look = metric.one_look.unwrap();
    assert!((look.interval.high / (1.961_152 * (2.0f64 / 999.0).sqrt() * 1e-9) - 1.0).abs() < 1e-4, "{look:?}");
}

#[test]
fn candidates_share_the_error_rate_and_each_is_compared_with_control() {
    let two = format!("{UNITS}{}", UNITS.replace("candidate", "other").split_once("other,15").unwrap().1);
    let two = two.replace("\n,2,2,a", "\nother,15,2,2,a");
    let alone = file(UNITS, "y").metric();
    let analysis = file(&two, "y").analysis();
    let names: Vec<&str> = analysis.candidates.iter().map(|candidate| candidate.name.as_str()).collect();
    assert_eq!(names, ["candidate", "other"]);
    let [first, second] = [0, 1].map(|place| &analysis.candidates[place].metrics[0]);
    assert_eq!(first, second);
    assert_eq!(first.one_look, alone.one_look);
    assert!(first.anytime.unwrap().high > alone.anytime.unwrap().high);
}

#[test]
fn the_split_is_held_against_its_plan() {
    let rows = |variant: &str, units: usize| format!("{variant},1\n").repeat(units);
    let csv = format!("variant,y\n{}{}", rows("control", 9_000), rows("candidate", 1_000));
    let split = |split: Option<&str>| {
        let file = file(&csv, "y").with(|question| question.split = split.map(|split| split.parse().unwrap()));
        file.analysis().candidates.remove(0).split.unwrap()
    };
    assert!(split(None).mismatch);
    let planned = split(Some("control=0.9,candidate=0.1"));
    assert!(!planned.mismatch && planned.chi_square_p == Some(1.0));
    assert_eq!(planned.planned_candidate_units, 1_000.0);
    let refused =
        file(&csv, "y").with(|question| question.split = Some("control=0.9,b=0.1".parse().unwrap())).refusal();
    assert_eq!(
        refused,
        "--split gives control, b a share, but the variants are candidate, control; name each of them once"
    );
}

#[test]
fn a_name_may_have_a_slash_of_its_own() {
    let csv = UNITS.replacen("y,d,", "y/z,d/z,", 1);
    assert_eq!(file(&csv, "r=y/z").metric().denominator, None);
    assert_eq!(file(&csv, "r=y/z/d/z").metric().denominator.as_deref(), Some("d/z"));
}

#[test]
fn every_refusal_names_the_place_and_what_would_be_right() {
    let plain = |csv: &str, metric: &str| file(csv, metric).refusal();
    assert_eq!(
        plain(UNITS, "Y2"),
        "there is no column \"Y2\", which metric \"Y2\" names (did you mean \"y\"?); the columns are variant, y, d, x, s"
    );
    assert_eq!(
        plain(UNITS, "r=y/q"),
        "there is no column \"q\", which metric \"r\" names (did you mean \"y\"?); the columns are variant, y, d, x, s"
    );
    assert_eq!(
        plain(UNITS, "s"),
        "column \"s\", which metric \"s\" names, must hold numbers, but row 1 has \"a\"; leave a field empty where a value \
         is missing"
    );
    assert_eq!(plain("variant,y\n", "y"), "there are no rows");
    assert_eq!(plain("", "y"), "the file is empty");
    assert_eq!(
        plain("variant,y\ncontrol,1\ncontrol,2\n", "y"),
        "column \"variant\" holds only \"control\", so there is nothing to compare; a comparison needs two variants"
    );
    assert_eq!(
        plain("variant,y\n,1\n,2\n", "y"),
        "column \"variant\" holds no value in any row, so no unit has a variant"
    );
    let with = |csv: &str, change: fn(&mut Question)| file(csv, "y").with(change).refusal();
    assert_eq!(
        with(UNITS, |question| question.control = "contrl".to_owned()),
        "no unit has the variant \"contrl\" (did you mean \"control\"?); column \"variant\" holds \"candidate\" (8 units), \
         \"control\" (8 units); --control names the one to compare with"
    );
    assert_eq!(
        with(UNITS, |question| question.covariate = Some("y".to_owned())),
        "both --covariate and metric \"y\" name column \"y\"; each needs a column of its own"
    );
    assert_eq!(
        with(UNITS, |question| question.unit = Some("d".to_owned())),
        "every unit of column \"d\" has rows of more than one variant; is it the unit?"
    );
    assert_eq!(
        with("variant,y,id,day\ncontrol,1,7,mon\ncontrol,2,7,tue\n", |question| {
            question.unit = Some("id".to_owned());
            question.stratum = Some("day".to_owned());
        }),
        "unit \"7\" has both \"mon\" and \"tue\" in column \"day\", but --stratum must be the same in all rows of a unit"
    );
    assert_eq!(
        with("variant,y,x\ncontrol,1,3\ncandidate,2,3\n", |question| question.covariate = Some("x".to_owned())),
        "column \"x\" cannot be a covariate for \"y\""
    );
    for (value, told) in [("NaN", "NaN"), ("inf", "inf"), ("-inf", "-inf")] {
        let csv = format!("variant,y\ncontrol,1\ncandidate,{value}\n");
        let wanted = format!(
            "column \"y\", which metric \"y\" names, has {told} in row 2; leave a field empty (null) where a value is missing"
        );
        assert_eq!(plain(&csv, "y"), wanted);
        let unit = format!("variant,y,id\ncontrol,1,1\ncandidate,{value},2\n");
        assert_eq!(with_unit(&unit), wanted);
    }
    assert_eq!(
        with_unit("variant,y,id\ncontrol,1e308,1\ncontrol,1e308,1\ncandidate,1,2\n"),
        "the values of column \"y\", which metric \"y\" names, are too large to add up"
    );
    let many: String = (0..200).map(|n| format!("v{n:03},1\n")).collect();
    assert_eq!(
        plain(&format!("variant,y\n{many}"), "y"),
        "column \"variant\" has more than 100 different values, such as v000, v001, v002, v003, v004; is it the variant? \
         --variant names the column that is"
    );
}

fn with_unit(csv: &str) -> String {
    file(csv, "y").with(|question| question.unit = Some("id".to_owned())).refusal()
}
