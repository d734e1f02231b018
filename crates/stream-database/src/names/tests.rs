//! What names are taken, and how they are put into SQL.

use super::Names;

#[test]
fn names_are_quoted_and_comments_taken_out() {
    let names = Names::new(Some("work"), "app_", "jobs").unwrap();
    let sql = "-- why {jobs}\nSELECT 1 FROM {jobs}, {dead}\n  -- more\nWHERE '{name}' <> ''\n";
    assert_eq!(
        &*names.render(sql),
        "SELECT 1 FROM \"work\".\"app_jobs\", \"work\".\"app_jobs_dead\"\nWHERE 'app_jobs' <> ''"
    );
    assert_eq!(names.plain(), "work.app_jobs");
    assert_eq!(
        &*names.render("SELECT {+find}({+a}(1))"),
        "SELECT \"work\".\"app_jobs_find\"(\"work\".\"app_jobs_a\"(1))"
    );
}

#[cfg(feature = "mysql")]
#[test]
fn names_are_quoted_as_the_database_has_it() {
    let names = Names::new(Some("work"), "app_", "jobs").unwrap().quoted_by(super::Quote::Backtick);
    assert_eq!(&*names.render("{limits}"), "`work`.`app_jobs_limits`");
}

#[test]
fn a_name_that_is_not_plain_is_refused() {
    let long = "a".repeat(60);
    for bad in ["", "1jobs", "Jobs", "jo bs", "jobs\"", "jobs;--", "jöbs", &long] {
        assert!(Names::new(None, "", bad).is_err(), "{bad}");
    }
    assert!(Names::new(Some("Work"), "", "jobs").is_err());
    assert!(Names::new(None, "", "_jobs_2").is_ok());
}
