//! `zvfs mount`: its arguments. What serves the folder is a program of its own, `zvfs-mount`, which reads the same command line: nobody
//! builds or loads the library for FUSE who does not mount anything.

use crate::exit::Failure;
use crate::name::descriptor;
use crate::options::{duration, setting};
use clap::Args;
use std::env;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use vfs_core::{Code, Error};

/// Show a provider's tree, or one file, as a folder, to programs that know nothing of zvfs
#[derive(Args, Debug)]
pub struct Mount {
    /// Let files be written, made and removed; else the folder is read-only
    #[arg(short, long)]
    pub write: bool,
    /// Return as soon as the folder can be used, and serve it in the background
    #[arg(short, long)]
    pub background: bool,
    /// Write messages to the end of this file
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// A call that takes longer fails with EIO
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub timeout: Duration,
    /// How long names, sizes and times are taken for current before they are asked for again
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub cache_time: Duration,
    /// Let other users use the folder, each as far as the modes allow; who is not root needs `user_allow_other` in /etc/fuse.conf
    #[arg(long)]
    pub allow_other: bool,
    /// A per-open setting for each file of the folder; repeatable
    #[arg(short = 'o', value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// What to show: a folder, or one file
    #[arg(value_name = "DESCRIPTOR", value_parser = descriptor())]
    pub descriptor: String,
    /// Where: a folder that is there
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

impl Mount {
    /// Becomes `zvfs-mount`, which lies beside this program.
    pub fn execute(&self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Error::from(error).context("start zvfs-mount");
        let program = env::current_exe().map_err(failed)?.with_file_name("zvfs-mount");
        let error = Command::new(&program).args(env::args_os().skip(1)).exec();
        if error.kind() == ErrorKind::NotFound {
            let text = format!(
                "{}: no such program: `zvfs mount` needs it; build it by `cargo build --release -p zvfs-mount`, or install with \
                 `make WITH=mount`, or the package zvfs-mount",
                program.display()
            );
            return Err(Failure::new(Code::ENOENT, text));
        }
        Err(failed(error).into())
    }
}
