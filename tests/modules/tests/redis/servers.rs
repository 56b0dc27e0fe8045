//! Replicas, clusters and users.

use crate::{COPIES, ok};
use zvfs_modules_tests::redis::{Redis, Reply};
use zvfs_test_support::{eventually, free_port};

#[test]
fn a_replica_runs_what_only_reads() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("copies", COPIES);
    redis.load("reads", "Channel = redis:key/1, /in, 0, 99, 99, 0, 0");
    let mut client = redis.client();
    client.call(&["SET", "a", "text"]);
    // Nobody is there: the data stays what it was.
    assert_eq!(client.call(&["REPLICAOF", "127.0.0.1", "1"]), ok());
    client.call(&["ZVM.CALL", "reads", "1", "a", "copy", "/in"]).is_error("READONLY", &[]);
    assert_eq!(client.call(&["ZVM.CALL_RO", "reads", "1", "a", "copy", "/in"]), Reply::bulk("text"));
    client
        .call(&["ZVM.CALL_RO", "copies", "2", "a", "b", "copy", "/in", "/out"])
        .is_error("ZVM", &["zvm.call_ro writes no keys"]);
}

#[test]
fn a_cluster_and_its_clients_know_the_keys() {
    if !Redis::is_here() {
        return;
    }
    let (port, bus) = (free_port().to_string(), free_port().to_string());
    let server = ["--port", &port, "--cluster-enabled", "yes", "--cluster-port", &bus];
    let redis = Redis::start(&server, &[]);
    let mut client = redis.client();
    assert_eq!(client.call(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), ok());
    eventually("the cluster is up", || client.call(&["SET", "{x}a", "1"]) == ok());
    redis.load("copies", COPIES);
    let keys = client.call(&["COMMAND", "GETKEYS", "ZVM.CALL", "copies", "2", "{x}a", "{x}b", "copy"]);
    assert_eq!(keys, Reply::Array(vec![Reply::bulk("{x}a"), Reply::bulk("{x}b")]));
    let one = ["ZVM.CALL", "copies", "2", "{x}a", "{x}b", "copy", "/in", "/out"];
    assert_eq!(client.call(&one), Reply::bulk(""));
    assert_eq!(client.call(&["GET", "{x}b"]), Reply::bulk("1"));
    client.call(&["ZVM.CALL", "copies", "2", "a", "b", "copy", "/in", "/out"]).is_error("CROSSSLOT", &[]);
}

#[test]
fn a_user_reaches_through_a_guest_what_he_reaches_without() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("copies", COPIES);
    let mut client = redis.client();
    assert_eq!(
        client.call(&["ACL", "SETUSER", "guest", "on", "nopass", "~mine:*", "+zvm.call", "+get"]),
        ok()
    );
    assert_eq!(client.call(&["AUTH", "guest", "x"]), ok());
    let mut call =
        |from: &str, to: &str| client.call(&["ZVM.CALL", "copies", "2", from, to, "copy", "/in", "/out"]);
    assert_eq!(call("mine:a", "mine:b"), Reply::bulk(""));
    call("mine:a", "other").is_error("NOPERM", &[]);
    call("other", "mine:a").is_error("NOPERM", &[]);
    client.call(&["ZVM.LOAD", "new", "x"]).is_error("NOPERM", &[]);
}

/// A stranger's report: `-@admin` took neither from a user, since Redis 7.0 knows no category of a module's command.
#[test]
fn programs_are_the_administrators() {
    if !Redis::is_here() {
        return;
    }
    let redis = Redis::start(&[], &[]);
    redis.load("copies", COPIES);
    let as_user = |rules: &[&str], command: &[&str]| {
        let mut client = redis.client();
        let words = [&["ACL", "SETUSER", "user", "reset", "on", "nopass", "~*"], rules].concat();
        assert_eq!(client.call(&words), ok());
        assert_eq!(client.call(&["AUTH", "user", "x"]), ok());
        client.call(command)
    };
    for rules in [&["+@all", "-@admin"][..], &["+@all", "-@dangerous"], &["+zvm.load", "+zvm.unload"]] {
        as_user(rules, &["ZVM.LOAD", "new", "x"]).is_error("NOPERM", &["+module|list"]);
        as_user(rules, &["ZVM.UNLOAD", "copies"]).is_error("NOPERM", &["+module|list"]);
    }
    let loader = ["+zvm.load", "+zvm.unload", "+module|list"];
    as_user(&loader, &["ZVM.LOAD", "new", "x"]).is_error("ERR", &["MANIFEST"]);
    assert_eq!(as_user(&loader, &["ZVM.UNLOAD", "copies"]), ok());
}
