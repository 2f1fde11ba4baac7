//! Faults of the world around a night, each put there on purpose. A test says what happens: what is decided all the same,
//! what is left for the next run, the words that name the cause, the exit code; and that the next run mends it.
//!
//! | fault | test |
//! |---|---|
//! | **registry**: down | `bad_input::a_registry_that_is_down_delays_its_own_steps_and_nothing_else` |
//! | slow | [`registry`]`::a_slow_registry_is_waited_for` |
//! | never answers | `registry::a_registry_that_never_answers_is_left_for_the_next_run` |
//! | 500 | `registry::a_registry_that_fails_is_asked_again_and_then_left` |
//! | 403 | `registry::a_registry_that_refuses_is_not_asked_again` |
//! | dies half-way | `registry::a_registry_that_dies_half_way_is_taken_up_where_it_died` |
//! | its answer is lost | `crash`: every mark "after" a call |
//! | 401, with secrets in the answer | `bad_input::secrets_show_in_no_log_report_or_record_when_everything_fails` |
//! | **mail server**: down | `bad_input::a_mail_that_could_not_go_out_goes_out_once` |
//! | busy (4xx) | [`mail`]`::a_busy_server_gets_the_mail_by_the_next_run` |
//! | refuses the mail (5xx) | `mail::a_mail_that_is_refused_for_what_it_says_is_given_up_and_told` |
//! | refuses the sender (5.7.x) | `mail::a_mail_that_is_refused_for_its_sender_waits` |
//! | hangs up after DATA | `mail::a_server_that_hangs_up_after_the_mail_gets_it_again_under_the_same_id` |
//! | refuses some receivers | `mail::a_refused_receiver_keeps_the_report_from_nobody_else` |
//! | no room for a mail's file | `mail::a_mail_whose_file_finds_no_room_is_written_by_the_next_run` |
//! | silent, not trusted, no STARTTLS | `notify::smtp` and `mail_real` |
//! | **PostgreSQL**: crashes in a transaction | [`store`]`::a_server_that_crashes_in_a_transaction_leaves_half_of_nothing` |
//! | drops the connection | `store::a_connection_that_is_dropped_ends_the_night_and_the_next_mends_it` |
//! | serialization failure | `store::a_serialization_failure_ends_the_night_and_the_next_mends_it` |
//! | read-only | `store::a_store_that_takes_no_writes_is_told_so` |
//! | out of reach, refused login, missing tables | `bad_input` |
//! | **SQLite**: disk full | `crash::a_full_disk_loses_nothing` |
//! | locked by another | `store::a_locked_file_is_waited_for_within_bounds` |
//! | no database | `store::a_file_that_is_no_database_is_told_so` |
//! | a constraint fails in the middle | `bad_input::what_was_decided_before_a_night_broke_off_is_told` |
//! | the pages' folder cannot be written | `bad_input::a_night_whose_page_could_not_be_written_is_told_all_the_same` |
//! | **warehouse**: statement timeout | [`warehouse`]`::a_query_that_takes_too_long_holds_its_experiment_alone` |
//! | connection dropped in a query | `warehouse::a_warehouse_that_goes_away_in_a_query_ends_the_night` |
//! | column of another type | `warehouse::a_column_of_another_type_holds_and_is_named`, `warehouse_postgres` |
//! | text for a number | `bad_input::text_in_…` |
//! | NULL, absent | `warehouse::a_field_that_is_absent_adds_nothing_and_is_counted` |
//! | NaN, infinite, beyond a double | `warehouse::numbers_that_are_none_hold_and_are_counted` |
//! | missing, half-written, cut short or small day | `bad_input::a_missing_partition_…`, `…half_written…`, `…ends_early…`, `…usual_size…` |
//! | cut short, with an event of the future | `warehouse::an_event_of_the_future_completes_no_day_and_counts_nowhere` |
//! | events twice | `warehouse::copies_of_an_event_count_once_by_their_id` |
//! | units in two arms | `warehouse::units_in_two_arms_are_left_out_and_hold_when_many` |
//! | **one another**: eight runs at once | [`concurrency`](super::concurrency) |
//! | **anything**, killed at any instant | [`crash`](super::crash) |

mod mail;
mod registry;
mod store;
mod warehouse;
