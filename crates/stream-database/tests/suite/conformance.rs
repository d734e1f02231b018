//! The conformance suite, once for each database.

#[cfg(feature = "postgres")]
mod postgres {
    stream_testkit::conformance!(crate::backends::postgres::set_up);
}

#[cfg(feature = "mysql")]
mod mysql {
    stream_testkit::conformance!(crate::backends::mysql::set_up);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    stream_testkit::conformance!(crate::backends::sqlite::set_up);
}
