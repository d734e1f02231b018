//! The crash tier, once for each database.

#[cfg(feature = "postgres")]
mod postgres {
    stream_testkit::crash!(crate::backends::postgres::set_up);
}

#[cfg(feature = "mysql")]
mod mysql {
    stream_testkit::crash!(crate::backends::mysql::set_up);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    stream_testkit::crash!(crate::backends::sqlite::set_up);
}
