//! `zvfs.h`: control.

use crate::argument::{Object, Place};
use crate::exported::exported;
use crate::pool::{Kind, Pool, Shared, Slot};
use crate::structs::{Report, Waiting};
use std::time::{Duration, Instant};
use vfs_core::{Control, abi};

pub type ControlSlot = Slot<Control>;

static CONTROLS: Pool<Control> = Pool::new();

impl Kind for Control {
    const NAME: &'static str = "control";
}

exported! {
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
    fn zvfs_control_waiting(control: Shared<Control>, out: Report<Waiting>) -> i32 {
        out.put(Waiting::new(control.waiting().as_ref()));
        Ok(())
    }
    fn zvfs_control_free(control: Option<Object<Control>>) -> (), plain {
        control.map_or(Ok(()), |object| CONTROLS.remove_soon(object.slot()).map(drop))
    }
}
