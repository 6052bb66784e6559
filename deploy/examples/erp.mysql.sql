-- The ERP of the example business, for MariaDB 10.11 and MySQL 8 or later. Its
-- triggers are business logic: they number debtors and orders, add up orders and
-- keep a ledger. Statements are separated by a line "-- ;;".
CREATE TABLE debtor (
  id           bigint        NOT NULL AUTO_INCREMENT,
  debtor_no    varchar(12)   NULL,
  name1        varchar(80)   NOT NULL,
  tel          varchar(40)   NULL,
  mail         varchar(254)  NULL,
  vat_no       varchar(20)   NULL,
  segment      varchar(4)    NULL,
  pay_terms    int           NOT NULL DEFAULT 30,
  credit_limit decimal(14,2) NOT NULL DEFAULT 0,
  open_amount  decimal(14,2) NOT NULL DEFAULT 0,
  hold         char(1)       NOT NULL DEFAULT 'N' CHECK (hold IN ('J', 'N')),
  inactive     smallint      NOT NULL DEFAULT 0,
  changed_at   datetime(6)   NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (id),
  UNIQUE KEY debtor_debtor_no (debtor_no)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE debtor_address (
  id        bigint       NOT NULL AUTO_INCREMENT,
  debtor_id bigint       NOT NULL,
  art       char(1)      NOT NULL CHECK (art IN ('R', 'L')),
  street    varchar(80)  NULL,
  town      varchar(60)  NULL,
  postcode  varchar(12)  NULL,
  iso2      char(2)      NULL,
  PRIMARY KEY (id),
  FOREIGN KEY (debtor_id) REFERENCES debtor (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE debtor_contact (
  id         bigint       NOT NULL AUTO_INCREMENT,
  debtor_id  bigint       NOT NULL,
  full_name  varchar(120) NOT NULL,
  mail       varchar(254) NULL,
  tel        varchar(40)  NULL,
  `function` varchar(40)  NULL,
  PRIMARY KEY (id),
  FOREIGN KEY (debtor_id) REFERENCES debtor (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE item (
  item_no varchar(20) NOT NULL,
  descr   varchar(80) NOT NULL,
  uom     varchar(3)  NOT NULL DEFAULT 'ST',
  status  char(1)     NOT NULL DEFAULT 'A' CHECK (status IN ('A', 'X')),
  PRIMARY KEY (item_no)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE price (
  item_no  varchar(20)   NOT NULL,
  list     varchar(4)    NOT NULL,
  currency char(3)       NOT NULL,
  amount   decimal(14,4) NOT NULL,
  PRIMARY KEY (item_no, list, currency),
  FOREIGN KEY (item_no) REFERENCES item (item_no)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE stock (
  item_no   varchar(20)   NOT NULL,
  warehouse varchar(4)    NOT NULL,
  on_hand   decimal(14,3) NOT NULL DEFAULT 0,
  reserved  decimal(14,3) NOT NULL DEFAULT 0,
  PRIMARY KEY (item_no, warehouse),
  FOREIGN KEY (item_no) REFERENCES item (item_no)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE sales_order (
  id            bigint        NOT NULL AUTO_INCREMENT,
  order_no      varchar(12)   NULL,
  ext_ref       varchar(40)   NULL,
  debtor_id     bigint        NOT NULL,
  po_no         varchar(30)   NULL,
  ordered_on    date          NULL,
  currency      char(3)       NOT NULL DEFAULT 'EUR',
  status        varchar(10)   NOT NULL DEFAULT 'NEW',
  invoice_state char(1)       NOT NULL DEFAULT 'N' CHECK (invoice_state IN ('N', 'P', 'F')),
  net_total     decimal(14,2) NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY sales_order_order_no (order_no),
  UNIQUE KEY sales_order_ext_ref (ext_ref),
  FOREIGN KEY (debtor_id) REFERENCES debtor (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE sales_order_line (
  id       bigint        NOT NULL AUTO_INCREMENT,
  order_id bigint        NOT NULL,
  pos      int           NOT NULL,
  item_no  varchar(20)   NOT NULL,
  qty      decimal(14,3) NOT NULL,
  price    decimal(14,4) NOT NULL,
  discount decimal(5,2)  NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  FOREIGN KEY (order_id) REFERENCES sales_order (id),
  FOREIGN KEY (item_no) REFERENCES item (item_no)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE ledger (
  id     bigint        NOT NULL AUTO_INCREMENT,
  at     datetime(6)   NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  what   varchar(20)   NOT NULL,
  ref    varchar(20)   NOT NULL,
  amount decimal(14,2) NULL,
  PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE number_range (
  name    varchar(20) NOT NULL,
  last_no int         NOT NULL,
  PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
INSERT INTO number_range (name, last_no) VALUES ('debtor', 0), ('sales_order', 0)
-- ;;
CREATE TRIGGER debtor_number BEFORE INSERT ON debtor FOR EACH ROW
BEGIN
  DECLARE n int;
  IF NEW.debtor_no IS NULL THEN
    UPDATE number_range SET last_no = last_no + 1 WHERE name = 'debtor';
    SELECT last_no INTO n FROM number_range WHERE name = 'debtor';
    SET NEW.debtor_no = concat('D', lpad(n, 5, '0'));
  END IF;
END
-- ;;
CREATE TRIGGER debtor_touch BEFORE UPDATE ON debtor FOR EACH ROW
BEGIN
  SET NEW.changed_at = CURRENT_TIMESTAMP(6);
END
-- ;;
CREATE TRIGGER debtor_ledger AFTER INSERT ON debtor FOR EACH ROW
BEGIN
  INSERT INTO ledger (what, ref, amount) VALUES ('debtor opened', NEW.debtor_no, NEW.credit_limit);
END
-- ;;
CREATE TRIGGER sales_order_number BEFORE INSERT ON sales_order FOR EACH ROW
BEGIN
  DECLARE n int;
  IF NEW.order_no IS NULL THEN
    UPDATE number_range SET last_no = last_no + 1 WHERE name = 'sales_order';
    SELECT last_no INTO n FROM number_range WHERE name = 'sales_order';
    SET NEW.order_no = concat('A', lpad(n, 5, '0'));
  END IF;
END
-- ;;
CREATE TRIGGER sales_order_ledger AFTER INSERT ON sales_order FOR EACH ROW
BEGIN
  INSERT INTO ledger (what, ref) VALUES ('order taken', NEW.order_no);
END
-- ;;
CREATE TRIGGER sales_order_line_added AFTER INSERT ON sales_order_line FOR EACH ROW
BEGIN
  UPDATE sales_order SET net_total = (
    SELECT coalesce(sum(round(qty * price * (1 - discount / 100), 2)), 0) FROM sales_order_line WHERE order_id = NEW.order_id
  ) WHERE id = NEW.order_id;
END
-- ;;
CREATE TRIGGER sales_order_line_changed AFTER UPDATE ON sales_order_line FOR EACH ROW
BEGIN
  UPDATE sales_order SET net_total = (
    SELECT coalesce(sum(round(qty * price * (1 - discount / 100), 2)), 0) FROM sales_order_line WHERE order_id = NEW.order_id
  ) WHERE id = NEW.order_id;
END
-- ;;
CREATE TRIGGER sales_order_line_removed AFTER DELETE ON sales_order_line FOR EACH ROW
BEGIN
  UPDATE sales_order SET net_total = (
    SELECT coalesce(sum(round(qty * price * (1 - discount / 100), 2)), 0) FROM sales_order_line WHERE order_id = OLD.order_id
  ) WHERE id = OLD.order_id;
END
