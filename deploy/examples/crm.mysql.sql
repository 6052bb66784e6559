-- The CRM of the example business, for MariaDB 10.11 and MySQL 8 or later.
-- Statements are separated by a line "-- ;;" because triggers hold semicolons.
CREATE TABLE accounts (
  id            char(36)      NOT NULL DEFAULT (uuid()),
  name          varchar(160)  NOT NULL,
  phone         varchar(40)   NULL,
  email         varchar(254)  NULL,
  website       varchar(255)  NULL,
  vat_id        varchar(20)   NULL,
  industry      varchar(40)   NULL,
  rating        varchar(10)   NULL,
  status        varchar(20)   NOT NULL DEFAULT 'lead',
  on_hold       tinyint(1)    NOT NULL DEFAULT 0,
  payment_terms varchar(10)   NULL,
  credit_limit  decimal(14,2) NULL,
  balance       decimal(14,2) NULL,
  erp_no        varchar(12)   NULL,
  created_at    datetime(3)   NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  modified_at   datetime(3)   NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  deleted       tinyint(1)    NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  KEY accounts_erp_no (erp_no)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE account_addresses (
  id         char(36)     NOT NULL DEFAULT (uuid()),
  account_id char(36)     NOT NULL,
  kind       varchar(10)  NOT NULL,
  street     varchar(120) NULL,
  city       varchar(80)  NULL,
  zip        varchar(12)  NULL,
  country    varchar(60)  NULL,
  PRIMARY KEY (id),
  KEY account_addresses_account (account_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE contacts (
  id         char(36)     NOT NULL DEFAULT (uuid()),
  account_id char(36)     NOT NULL,
  first_name varchar(60)  NULL,
  last_name  varchar(60)  NOT NULL,
  email      varchar(254) NULL,
  phone      varchar(40)  NULL,
  role       varchar(40)  NULL,
  PRIMARY KEY (id),
  KEY contacts_account (account_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE products (
  id              int           NOT NULL AUTO_INCREMENT,
  sku             varchar(20)   NOT NULL,
  name            varchar(120)  NOT NULL,
  unit            varchar(20)   NOT NULL DEFAULT 'piece',
  list_price      decimal(14,4) NULL,
  stock_available decimal(14,3) NULL,
  active          tinyint(1)    NOT NULL DEFAULT 1,
  PRIMARY KEY (id),
  UNIQUE KEY products_sku (sku)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE orders (
  id             char(36)      NOT NULL DEFAULT (uuid()),
  account_id     char(36)      NOT NULL,
  status         varchar(10)   NOT NULL DEFAULT 'draft',
  customer_po    varchar(40)   NULL,
  ordered_at     datetime(3)   NULL,
  currency       char(3)       NOT NULL DEFAULT 'EUR',
  total          decimal(14,2) NULL,
  erp_order_no   varchar(12)   NULL,
  erp_status     varchar(20)   NULL,
  invoice_status varchar(20)   NULL,
  PRIMARY KEY (id),
  KEY orders_account (account_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE order_lines (
  id         char(36)      NOT NULL DEFAULT (uuid()),
  order_id   char(36)      NOT NULL,
  product_id int           NOT NULL,
  position   int           NOT NULL,
  qty        decimal(14,3) NOT NULL,
  unit_price decimal(14,4) NOT NULL,
  discount   decimal(5,2)  NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  KEY order_lines_order (order_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE notes (
  id         int         NOT NULL AUTO_INCREMENT,
  account_id char(36)    NULL,
  body       text        NOT NULL,
  created_at datetime(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TABLE audit_log (
  id         bigint       NOT NULL AUTO_INCREMENT,
  account_id char(36)     NOT NULL,
  action     varchar(20)  NOT NULL,
  at         datetime(6)  NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
-- ;;
CREATE TRIGGER accounts_audit AFTER UPDATE ON accounts FOR EACH ROW
BEGIN
  INSERT INTO audit_log (account_id, action) VALUES (NEW.id, 'update');
END
