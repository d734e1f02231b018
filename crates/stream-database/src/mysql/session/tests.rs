//! Which servers are taken.

use super::lack;

#[test]
fn a_server_without_skip_locked_is_refused_with_the_reason() {
    for old in ["5.7.44-log", "8.0.12", "10.5.27-MariaDB-log", "5.5.5-10.4.2-MariaDB", "8.0.11-TiDB-v7.5.1"] {
        assert!(lack(old).is_some_and(|why| why.contains("SKIP LOCKED")), "{old}");
    }
    for new in
        ["8.0.13", "8.4.3", "9.7.4-2", "10.6.0-MariaDB", "5.5.5-10.11.19-MariaDB-0+deb12u1", "11.8.2-MariaDB"]
    {
        assert_eq!(lack(new), None, "{new}");
    }
}
