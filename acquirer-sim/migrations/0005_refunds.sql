-- Refunds that take a course of their own. What the bank answered stays as it is in entries.

-- the course that a refund of this payment takes; null: it is done at once
alter table payments add column refund_course TEXT check (refund_course in ('late', 'returned'));

create table refund_courses (
    entry_id TEXT primary key references entries (id),
    -- late: answered as pending, and done when it is due; returned: answered as done, and back when it is due
    course   TEXT not null check (course in ('late', 'returned')),
    -- milliseconds
    due_at   INTEGER not null,
    done_at  INTEGER
) STRICT;
create index refund_courses_open on refund_courses (due_at) where done_at is null;
create index refund_courses_done on refund_courses (done_at) where course = 'returned';
