//! Every provider of this project, for tests and benches that load their libraries. Nothing here names one: no program links two.
