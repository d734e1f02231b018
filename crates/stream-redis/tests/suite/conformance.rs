//! The conformance suite, once for each kind of server.

mod single {
    stream_testkit::conformance!(crate::backends::single);
}

mod cluster {
    stream_testkit::conformance!(crate::backends::cluster);
}
