//! Connections that are kept between two requests.

use crate::transport::connection::Connection;
use parking_lot::Mutex;
use std::sync::Arc;
use zvfs_net::origin::Origin;

/// Idle connections, the oldest first. Clones are the same.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    idle: Mutex<Vec<(Origin, Connection)>>,
    most: usize,
}

/// Where a connection goes when its answer has come whole.
pub struct Place {
    pool: Pool,
    origin: Origin,
    connection: Connection,
}

impl Pool {
    /// A pool of at most so many.
    pub fn new(most: usize) -> Pool {
        Pool(Arc::new(Inner { idle: Mutex::default(), most }))
    }

    /// The youngest connection to a server, which the server has had the least time to close.
    pub fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut idle = self.0.idle.lock();
        idle.retain(|(_, connection)| connection.is_open());
        let at = idle.iter().rposition(|(to, _)| to == origin)?;
        Some(idle.remove(at).1)
    }

    /// Where a connection goes later.
    pub fn place(&self, origin: Origin, connection: Connection) -> Place {
        Place { pool: self.clone(), origin, connection }
    }
}

impl Place {
    /// Keeps the connection. The oldest goes where there are too many.
    pub fn keep(self) {
        let Place { pool: Pool(inner), origin, connection } = self;
        let mut idle = inner.idle.lock();
        if connection.is_open() {
            idle.push((origin, connection));
        }
        if idle.len() > inner.most {
            idle.remove(0);
        }
    }
}
