mod enrolment;
mod files;
