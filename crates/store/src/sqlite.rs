//! [`Records`] on SQLite, in one file with a write-ahead log.
//!
//! One thread writes: it takes all batches that wait, commits them in one transaction, and only
//! then answers each. Readers have connections of their own and never wait for the writer.
//! The file must not be opened by a second process; see [`crate::lock`].

mod writer;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use tokio::sync::{mpsc, oneshot, watch};

use crate::disk::{Workers, is_full, sync_parent};
use crate::records::{Error, Record, Records, Revision, Write};
use crate::watches::Watches;
use writer::Job;

/// Reads at a time: more would only queue at the processor and hold more page caches.
const READERS_MAX: usize = 4;

/// Batches that may wait for the writer; the next caller waits to enter the queue.
const QUEUED_BATCHES_MAX: usize = 1024;

/// Written into the file's header ("KENL"), so that no other program's database is taken for ours.
const APPLICATION_ID: i64 = 0x4b45_4e4c;
const SCHEMA_VERSION: i64 = 1;

/// After a crash a file up to this size is checked whole at open (about 100 ms); a larger one
/// would delay the start too long, and the log's recovery has made it consistent already.
const CHECKED_BYTES_MAX: u64 = 32 * 1024 * 1024;

pub struct SqliteRecords {
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<thread::JoinHandle<()>>,
    readers: Arc<Readers>,
    workers: Workers,
    watches: Arc<Watches>,
}

impl SqliteRecords {
    /// Opens the file, making it where there is none, and recovers what a killed process left.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let (connection, revision) = open_writer(path)?;
        let watches = Arc::new(Watches::new(revision));
        let (jobs, queue) = mpsc::channel(QUEUED_BATCHES_MAX);
        let writer = writer::Writer { connection, revision, watches: watches.clone() };
        let writer = thread::Builder::new()
            .name("records-writer".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(failed)?;
        Ok(Self {
            jobs: Some(jobs),
            writer: Some(writer),
            readers: Arc::new(Readers { path: path.to_owned(), idle: Mutex::default() }),
            workers: Workers::new(READERS_MAX),
            watches,
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let readers = self.readers.clone();
        self.workers
            .run(move || readers.with(query))
            .await
            .map_err(|_shutting_down| Error::Closed)?
            .map_err(error)
    }
}

impl Drop for SqliteRecords {
    /// Ends the writer after what is queued; the last connection moves the log into the file.
    fn drop(&mut self) {
        self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.jobs = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the record store's writer ended abnormally");
        }
    }
}

#[async_trait]
impl Records for SqliteRecords {
    async fn get(&self, table: &'static str, key: &str) -> Result<Option<Record>, Error> {
        let key = key.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT key, value, revision FROM records WHERE tbl = ?1 AND key = ?2",
                )?
                .query_row(params![table, key], record)
                .optional()
        })
        .await
    }

    async fn list(
        &self,
        table: &'static str,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, Error> {
        let prefix = prefix.to_owned();
        let after = start_after.filter(|after| *after >= prefix.as_str()).map(str::to_owned);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(match after {
                Some(_) => {
                    "SELECT key, value, revision FROM records
                     WHERE tbl = ?1 AND key > ?2 ORDER BY key LIMIT ?3"
                }
                None => {
                    "SELECT key, value, revision FROM records
                     WHERE tbl = ?1 AND key >= ?2 ORDER BY key LIMIT ?3"
                }
            })?;
            let from = after.as_ref().unwrap_or(&prefix);
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![table, from, limit])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let record = record(row)?;
                // Keys with the prefix lie together, so the first other one ends the listing.
                if !record.key.starts_with(&prefix) {
                    break;
                }
                found.push(record);
            }
            Ok(found)
        })
        .await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, Error> {
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(Error::Closed)?;
        jobs.send(Job { writes, reply }).await.map_err(|_closed| Error::Closed)?;
        answer.await.map_err(|_gone| Error::Closed)?
    }

    fn watch(&self, table: &'static str) -> watch::Receiver<Revision> {
        self.watches.subscribe(table)
    }
}

/// Why a file cannot be used as a record store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("`{}` is a database of another program", .0.display())]
    Foreign(PathBuf),
    #[error("`{}` was written by a newer version (schema {found})", path.display())]
    Newer { path: PathBuf, found: i64 },
    #[error("`{}` is damaged: {finding}", path.display())]
    Damaged { path: PathBuf, finding: String },
}

/// Connections that read, opened when first needed and kept.
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn with<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let answer = query(&connection)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(answer)
    }
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch("PRAGMA cache_size = -512;")?;
    Ok(connection)
}

fn open_writer(path: &Path) -> Result<(Connection, Revision), Error> {
    if length(path) == 0 {
        create(path)?;
    }
    let crashed = length(&beside(path, "-wal")) > 0;
    let connection = connect_to_write(path).map_err(error)?;
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL;
             PRAGMA cache_size = -2000;
             PRAGMA temp_store = MEMORY;
             PRAGMA journal_size_limit = 8388608;",
        )
        .map_err(error)?;
    ensure_ours(&connection, path)?;
    if crashed && length(path) <= CHECKED_BYTES_MAX {
        ensure_whole(&connection, path)?;
    }
    let revision = connection
        .query_row("SELECT revision FROM latest", [], |row| row.get::<_, i64>(0))
        .map_err(error)?;
    Ok((connection, revision.cast_unsigned()))
}

/// Makes the file under another name and renames it, so that it is never seen half made, and
/// syncs once what SQLite would sync at each step.
fn create(path: &Path) -> Result<(), Error> {
    let staged = beside(path, ".new");
    let make = || -> rusqlite::Result<()> {
        let connection = connect_to_write(&staged)?;
        connection.execute_batch(&format!(
            "PRAGMA synchronous = OFF;
             PRAGMA journal_mode = WAL;
             BEGIN IMMEDIATE;
             CREATE TABLE records (
                 tbl TEXT NOT NULL COLLATE BINARY,
                 key TEXT NOT NULL COLLATE BINARY,
                 value BLOB NOT NULL,
                 revision INTEGER NOT NULL,
                 PRIMARY KEY (tbl, key)
             ) WITHOUT ROWID;
             CREATE TABLE latest (revision INTEGER NOT NULL);
             INSERT INTO latest VALUES (0);
             PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {SCHEMA_VERSION};
             COMMIT;"
        ))?;
        connection.close().map_err(|(_, error)| error)
    };
    let publish = || -> io::Result<()> {
        File::open(&staged)?.sync_all()?;
        fs::rename(&staged, path)?;
        sync_parent(path)
    };
    // A log whose file is gone must not be taken for the new file's.
    let leftovers = [".new", ".new-wal", ".new-shm", "-wal", "-shm"];
    for leftover in leftovers.map(|suffix| beside(path, suffix)) {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    make().map_err(error)?;
    publish().map_err(failed)
}

fn connect_to_write(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

/// Refuses a file that is not ours to change.
fn ensure_ours(connection: &Connection, path: &Path) -> Result<(), Error> {
    let header = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if header("application_id").map_err(error)? != APPLICATION_ID {
        return Err(refuse(OpenError::Foreign(path.to_owned())));
    }
    let found = header("user_version").map_err(error)?;
    if found > SCHEMA_VERSION {
        return Err(refuse(OpenError::Newer { path: path.to_owned(), found }));
    }
    Ok(())
}

fn ensure_whole(connection: &Connection, path: &Path) -> Result<(), Error> {
    let finding: String =
        connection.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(error)?;
    match finding.as_str() {
        "ok" => Ok(()),
        _ => Err(refuse(OpenError::Damaged { path: path.to_owned(), finding })),
    }
}

fn refuse(reason: OpenError) -> Error {
    Error::Backend(Box::new(reason))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        key: row.get(0)?,
        value: row.get(1)?,
        revision: row.get::<_, i64>(2)?.cast_unsigned(),
    })
}

/// A full disk shows in two ways: a write is refused, or the index of the log cannot grow.
fn error(error: rusqlite::Error) -> Error {
    let full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
        || error.sqlite_extended_error_code() == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE);
    if full { Error::Full } else { Error::Backend(Box::new(error)) }
}

fn failed(error: io::Error) -> Error {
    if is_full(&error) { Error::Full } else { Error::Backend(Box::new(error)) }
}
