//! What can be done to nodes, at once or as part of a transaction.

use super::{Error, Operation, Permission, Xenstore, terminated, text};

/// How often a transaction is tried. Collisions are rare; hundreds in a row mean that something is wrong.
const MAX_ATTEMPTS: u32 = 200;

/// Reading and changing nodes: on [`Xenstore`] each call takes effect at once, on a [`Transaction`] all together.
pub trait Tree {
    /// Sends one request about `path`.
    ///
    /// # Errors
    /// Any [`Error`].
    fn call(&mut self, operation: Operation, path: &str, payload: &[u8]) -> Result<Vec<u8>, Error>;

    /// The value of a node.
    ///
    /// # Errors
    /// [`Error::Refused`] with `ENOENT` or `EACCES`.
    fn read(&mut self, path: &str) -> Result<String, Error> {
        let reply = self.call(Operation::READ, path, &terminated(&[path]))?;
        text(Operation::READ, path, reply)
    }

    /// The value of a node, or `None` if there is no such node.
    ///
    /// # Errors
    /// As [`Tree::read`], without `ENOENT`.
    fn read_optional(&mut self, path: &str) -> Result<Option<String>, Error> {
        match self.read(path) {
            Err(error) if error.is_not_found() => Ok(None),
            result => result.map(Some),
        }
    }

    /// Sets the value of a node, and creates it and its parents if need be.
    ///
    /// # Errors
    /// [`Error::Refused`] with `EACCES` or `EQUOTA`.
    fn write(&mut self, path: &str, value: &str) -> Result<(), Error> {
        let payload = [&terminated(&[path]), value.as_bytes()].concat();
        self.call(Operation::WRITE, path, &payload).map(drop)
    }

    /// Creates an empty node and its parents, where there is none.
    ///
    /// # Errors
    /// [`Error::Refused`].
    fn mkdir(&mut self, path: &str) -> Result<(), Error> {
        self.call(Operation::MKDIR, path, &terminated(&[path])).map(drop)
    }

    /// Removes a node and all below it. A node that is not there is fine.
    ///
    /// # Errors
    /// [`Error::Refused`].
    fn remove(&mut self, path: &str) -> Result<(), Error> {
        match self.call(Operation::REMOVE, path, &terminated(&[path])) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// The names of a node's children.
    ///
    /// # Errors
    /// [`Error::Refused`].
    fn directory(&mut self, path: &str) -> Result<Vec<String>, Error> {
        let reply = self.call(Operation::DIRECTORY, path, &terminated(&[path]))?;
        let names = text(Operation::DIRECTORY, path, reply)?;
        Ok(names.split_terminator('\0').map(str::to_owned).collect())
    }

    /// A node's permissions; the first is the owner's.
    ///
    /// # Errors
    /// [`Error::Refused`].
    fn permissions(&mut self, path: &str) -> Result<Vec<Permission>, Error> {
        let reply = self.call(Operation::GET_PERMISSIONS, path, &terminated(&[path]))?;
        let list = text(Operation::GET_PERMISSIONS, path, reply)?;
        list.split_terminator('\0').map(str::parse).collect::<Result<_, _>>().map_err(|_| Error::Answer {
            operation: Operation::GET_PERMISSIONS,
            path: path.to_owned(),
            detail: list.replace('\0', " "),
        })
    }

    /// Sets a node's permissions; the first names the owner. Nodes created below it later inherit them.
    ///
    /// # Errors
    /// [`Error::Refused`].
    fn set_permissions(&mut self, path: &str, permissions: &[Permission]) -> Result<(), Error> {
        let mut payload = terminated(&[path]);
        for permission in permissions {
            payload.extend(terminated(&[&permission.to_string()]));
        }
        self.call(Operation::SET_PERMISSIONS, path, &payload).map(drop)
    }
}

impl Tree for Xenstore {
    fn call(&mut self, operation: Operation, path: &str, payload: &[u8]) -> Result<Vec<u8>, Error> {
        self.request(operation, 0, path, payload)
    }
}

/// Requests that take effect together, or not at all. See [`Xenstore::transaction`].
#[derive(Debug)]
pub struct Transaction<'store> {
    store: &'store mut Xenstore,
    id: u32,
}

impl Tree for Transaction<'_> {
    fn call(&mut self, operation: Operation, path: &str, payload: &[u8]) -> Result<Vec<u8>, Error> {
        self.store.request(operation, self.id, path, payload)
    }
}

impl Xenstore {
    /// Runs `body` as one transaction, again from the start if another writer got in between.
    ///
    /// If `body` fails, nothing of what it wrote takes effect.
    ///
    /// # Errors
    /// The error of `body`, or [`Error::Contended`].
    pub fn transaction<T>(
        &mut self,
        mut body: impl FnMut(&mut Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        for _ in 0..MAX_ATTEMPTS {
            match self.attempt(&mut body) {
                Err(error) if error.is_conflict() => {}
                result => return result,
            }
        }
        Err(Error::Contended { attempts: MAX_ATTEMPTS })
    }

    fn attempt<T>(
        &mut self,
        body: &mut impl FnMut(&mut Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let reply = self.request(Operation::TRANSACTION_START, 0, "", &terminated(&[""]))?;
        let reply = text(Operation::TRANSACTION_START, "", reply)?;
        let id = reply.parse().map_err(|_| Error::Answer {
            operation: Operation::TRANSACTION_START,
            path: String::new(),
            detail: reply,
        })?;
        let result = body(&mut Transaction { store: self, id });
        let verdict = if result.is_ok() { "T" } else { "F" };
        let ended = self.request(Operation::TRANSACTION_END, id, "", &terminated(&[verdict]));
        // The error of the body says more than a failure to abort.
        let value = result?;
        ended.map(|_| value)
    }
}
