//! One suite a trait. A backend takes part with one line: `records_suite!(name, constructor)`,
//! where the constructor gives `(Arc<dyn Trait>, Option<TempDir>)`.

pub mod blobs;
pub mod records;
pub mod streams;

macro_rules! instantiate {
    ($suite:ident, $backend:ident, $open:expr, [$($test:ident),* $(,)?]) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let (store, _dir) = $open;
                    $crate::suite::$suite::$test(store).await;
                }
            )*
        }
    };
}

macro_rules! records_suite {
    ($backend:ident, $open:expr) => {
        $crate::suite::instantiate!(
            records,
            $backend,
            $open,
            [
                absent_key_is_none,
                written_record_is_read_back,
                revisions_grow_and_are_shared_by_a_batch,
                keys_of_different_tables_do_not_meet,
                failed_expectation_names_its_key_and_writes_nothing,
                expectations_see_the_state_before_the_batch,
                deleting_an_absent_key_is_no_error,
                recreated_key_never_gets_an_old_revision,
                only_one_of_many_creators_wins,
                concurrent_increments_are_not_lost,
                conflict_does_not_fail_neighbours,
                listing_agrees_with_a_sorted_map,
                listing_pages_through_everything_once,
                watch_wakes_for_its_own_table_only,
            ]
        );
    };
}

macro_rules! blobs_suite {
    ($backend:ident, $open:expr) => {
        $crate::suite::instantiate!(
            blobs,
            $backend,
            $open,
            [
                committed_blob_is_read_back_at_every_size,
                chunks_of_any_size_make_the_same_blob,
                range_is_clipped_to_the_blob,
                absent_blob_is_named,
                wrong_length_keeps_nothing,
                dropped_stage_keeps_nothing,
                delete_is_idempotent,
                reader_under_way_survives_delete,
                many_writers_at_once_get_their_own_blobs,
            ]
        );
    };
}

macro_rules! streams_suite {
    ($backend:ident, $open:expr) => {
        $crate::suite::instantiate!(
            streams,
            $backend,
            $open,
            [
                absent_stream_is_empty,
                entries_come_back_in_order_with_their_numbers,
                any_sequence_can_be_read_from,
                empty_append_makes_no_stream,
                ids_that_could_be_paths_are_refused,
                too_large_entry_is_refused_with_its_batch,
                read_is_bounded_in_bytes_but_gives_an_entry,
                deleted_stream_starts_anew,
                concurrent_appends_keep_batches_together,
            ]
        );
    };
}

pub(crate) use {blobs_suite, instantiate, records_suite, streams_suite};
