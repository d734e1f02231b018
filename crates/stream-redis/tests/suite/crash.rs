//! The crash tier, once for each kind of server.

mod single {
    stream_testkit::crash!(crate::backends::single);
}

mod cluster {
    stream_testkit::crash!(crate::backends::cluster);
}
