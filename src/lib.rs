//! `kubectl mariadb`.
