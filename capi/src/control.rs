//! `zvfs.h`: control.

use crate::argument::Object;
use crate::pool::{Kind, Pool, Shared, Slot};
use crate::structs::Waiting;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use vfs_core::boundary::{Answer, Place};
use vfs_core::{Control, abi, extern_c};

type ControlSlot = Slot<Control>;

static CONTROLS: Pool<Control> = Pool::new();

impl Kind for Control {
    const NAME: &'static str = "control";
}

extern_c! { exported by "libzvfs":
    fn zvfs_control_new(out: Place<'_, *const ControlSlot>) -> i32 {
        out.put(CONTROLS.insert(Control::new()));
        Ok(())
    }
    fn zvfs_control_cancel(control: Shared<Control>) -> i32 {
        control.cancel();
        Ok(())
    }
    fn zvfs_control_lift(control: Shared<Control>) -> i32 {
        control.lift();
        Ok(())
    }
    fn zvfs_control_set_deadline(control: Shared<Control>, ns: u64) -> i32 {
        // A time beyond the clock's end is as good as none.
        let at = Instant::now().checked_add(Duration::from_nanos(ns)).filter(|_| ns != abi::TIME_UNLIMITED);
        control.set_deadline(at);
        Ok(())
    }
    fn zvfs_control_fd(control: Shared<Control>) -> i32 {
        // No descriptor is below 0.
        Ok(control.fd()?.as_raw_fd().unsigned_abs())
    }
    fn zvfs_control_waiting(control: Shared<Control>, out: Answer<'_, Waiting>) -> i32 {
        out.put(Waiting::new(control.waiting().as_ref()));
        Ok(())
    }
    fn zvfs_control_free(control: Option<Object<Control>>) -> (), plain {
        control.map_or(Ok(()), |object| CONTROLS.remove_soon(object.slot()).map(drop))
    }
}
