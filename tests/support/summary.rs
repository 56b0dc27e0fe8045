//! The last program of `cargo test`: says what the others skipped, and which packages bring what they lacked.

fn main() {
    if let Some(summary) = zvfs_test_support::summary() {
        println!("\n{summary}\n");
    }
}
