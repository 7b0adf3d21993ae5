//! What every implementation of a door has to do, as tests that run against each of them.
